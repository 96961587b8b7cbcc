"""ABSGD and its kin: their weights against the literal equations, what they converge to, and what goes wrong."""

import multiprocessing
import socket
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from scipy.optimize import minimize
from torch import nn

from skedastic.core.tilted import DROObjective, attentional_weights, effective_size, log_mean_exp
from skedastic.methods.absgd import ABSGD
from skedastic.methods.bases.step import Batch, Clock, Out, Step
from skedastic.methods.cvar import cvar_weights
from skedastic.methods.eg import EG
from skedastic.methods.erm import ERM
from skedastic.methods.group_dro import GroupDRO
from skedastic.methods.tilted import Tilted, tilted_weights
from skedastic.settings.methods import make_method
from skedastic.training import PlainEngine, TrainingConfig, train
from tests.reference import weights as literal
from tests.support.methods import dataset, make_net, observed, run, same, start, task, weights
from tests.support.refusals import refused

INF = float("inf")


def batches(n=4, size=7, scale=2.0):
    g = torch.Generator().manual_seed(1)
    return [scale * torch.rand(size, generator=g, dtype=torch.float64) for _ in range(n)]


@pytest.mark.parametrize("lam", [0.3, 5.0, -0.7, -4.0])
@pytest.mark.parametrize("gamma", [0.1, 0.9, 1.0])
def test_absgd_is_algorithm_1(lam, gamma) -> None:
    log_s = None
    for batch, expected in zip(batches(), literal.absgd([b.numpy() for b in batches()], lam, gamma, None), strict=True):
        p, log_s = attentional_weights(batch, log_s, lam, gamma)
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-12)
    from_zero = literal.absgd([b.numpy() for b in batches()], lam, gamma, 0.0)
    log_s = None
    for batch, expected in zip(batches(), from_zero, strict=True):
        p, log_s = attentional_weights(batch, log_s, lam, gamma, first_batch=False)
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-12)


class Losses(nn.Module):
    """A network whose loss of example i is its parameter i."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(values.clone())


@pytest.mark.parametrize("kind", ["absgd", "code", "tilted", "cvar", "eg", "group-dro"])
def test_the_methods_steps_have_these_weights(kind) -> None:
    """The gradient of the objective by each example's loss is p_i/B; batch after batch, through the method."""
    method = {
        "absgd": ABSGD(lam=0.8, gamma=0.4),
        "code": ABSGD(lam=-0.8, gamma=0.4, start="zero", alpha=0.5, uniform=1.0),
        "tilted": make_method("tilted", {"t": 1.7}),
        "cvar": make_method("cvar", {"alpha": 0.3}),
        "eg": EG(eta=0.4, memory=0.8),
        "group-dro": GroupDRO(step_size=0.5, adjustment=2.0),
    }[kind]
    data = dataset()
    state = method.init(task(data), make_net).train()
    g = torch.Generator().manual_seed(2)
    rows = [torch.randperm(50, generator=g)[:8] for _ in range(5)]
    steps = []
    for chosen in rows:
        batch = Batch(data.x[chosen], data.y[chosen], data.index[chosen], data.group[chosen])
        step = observed(method, state, batch)
        losses = step.out.extra.detach().requires_grad_()
        step = replace(step, out=step.out._replace(extra=losses))
        method.objective(step).total.backward()
        steps.append((losses.detach().double().numpy(), losses.grad.numpy() * len(chosen)))
    seen = [losses for losses, _ in steps]
    expected = {
        "absgd": lambda: literal.absgd(seen, 0.8, 0.4, None),
        "code": lambda: literal.absgd(seen, -0.8, 0.4, 0.0, alpha=0.5, uniform=1.0),
        "tilted": lambda: [literal.tilted(losses, 1.7) for losses in seen],
        "cvar": lambda: [literal.cvar(losses, 0.3) for losses in seen],
        "eg": lambda: literal.eg([(r.tolist(), x) for r, x in zip(rows, seen, strict=True)], 50, 0.4, 0.8),
        "group-dro": lambda: [
            p
            for _, p in literal.group_dro(
                [(x, data.group[r].tolist()) for r, x in zip(rows, seen, strict=True)],
                3, 0.5, 2.0 / np.sqrt(data.group_counts().numpy()),
            )
        ],
    }[kind]()  # fmt: skip
    for (_, p), wanted in zip(steps, expected, strict=True):
        np.testing.assert_allclose(p, wanted, rtol=2e-5)


def test_group_dro_moves_its_weights_and_bears_absent_groups() -> None:
    method, data = GroupDRO(step_size=0.3), dataset()
    state = method.init(task(data), make_net)
    losses = [(torch.tensor([1.0, 2.0, 3.0]), [0, 0, 2]), (torch.tensor([0.5, 4.0]), [2, 1])]
    expected = literal.group_dro([(x.numpy(), g) for x, g in losses], 3, 0.3, np.zeros(3))
    for (x, group), (q, _) in zip(losses, expected, strict=True):
        batch = Batch(x, torch.tensor(group), torch.tensor(group), torch.tensor(group))
        method.take(Step(state, batch, Out(None), Clock(0, 1, 0)), x)
        np.testing.assert_allclose(state.log_q.exp().numpy(), q, rtol=1e-5)


@pytest.mark.parametrize("lam", [2.0, -2.0])
def test_absgd_equals_the_authors_package_where_that_is_safe(lam) -> None:
    losses = pytest.importorskip("absgd.losses", reason="the absgd package is not installed")
    theirs = losses.ABLoss(lam, abgamma=0.6)
    theirs.updateLambda()
    method = ABSGD(lam=lam, gamma=0.6, start="zero")
    state, batch = start(method)
    for _ in range(4):
        step = observed(method, state, batch)
        ours = method.objective(step).total
        expected = theirs(step.out.logits, batch.y)
        torch.testing.assert_close(ours, expected)
        gradients = [torch.autograd.grad(x, list(state.net.parameters()), retain_graph=True) for x in (ours, expected)]
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("lam", [0.5, -0.5])
def test_large_losses_give_finite_weights_where_the_authors_package_gives_nan(lam, dtype) -> None:
    top = 1e4 if dtype == torch.float32 else 60.0
    log_s = None
    for _ in range(3):
        losses = torch.tensor([0.0, 1.0, top / 2, top], dtype=dtype)
        p, log_s = attentional_weights(losses, log_s, lam, 0.9)
        assert p.isfinite().all()
        assert p.dtype == torch.float32
        assert float(p.sum()) == pytest.approx(4, rel=5e-3)  # 2e4 in single precision is known to 0.001
    module = pytest.importorskip("absgd.losses", reason="the absgd package is not installed")
    theirs = module.ABLoss(0.5, criterion=lambda output, target: output)
    theirs.updateLambda()
    assert theirs(torch.tensor([0.0, top], dtype=dtype), None).isnan()


def test_no_weight_is_above_b_over_gamma() -> None:
    p, log_s = attentional_weights(torch.full((8,), -1e4), None, 1.0, 0.25)
    p, _ = attentional_weights(torch.tensor([1e4] + [0.0] * 7), log_s, 1.0, 0.25)
    assert float(p.max()) == pytest.approx(8 / 0.25, rel=1e-2)


# A convex problem: least squares with weight decay on 40 points, some of them outliers. F_λ has one stationary point
# for λ > 0, and for λ < 0 one near the least-squares solution.

DECAY = 0.1


def problem():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    y = x @ np.array([1.0, -0.5]) + 0.3 * rng.normal(size=40)
    y[:8] += 2.0
    return x, y


def solution(lam, start):
    x, y = problem()

    def value(w):
        losses = 0.5 * (y - x @ w) ** 2
        return literal.tilted_risk(losses, lam) + 0.5 * DECAY * w @ w

    return minimize(value, start, method="BFGS", options={"gtol": 1e-10}).x


def trained(lam, gamma, seed, steps=6000, size=2):
    x, y = (torch.tensor(part) for part in problem())
    w = torch.tensor(solution(1e6, np.zeros(2)))
    g = torch.Generator().manual_seed(seed)
    log_s, total = None, torch.zeros(2, dtype=torch.float64)
    for step in range(steps):
        rows = torch.randint(40, (size,), generator=g)
        residual = y[rows] - x[rows] @ w
        p, log_s = attentional_weights(0.5 * residual**2, log_s, lam, gamma)
        gradient = -(p * residual) @ x[rows] / size + DECAY * w
        w = w - 0.02 * gradient
        if step >= steps // 3:
            total += w
    return (total / (steps - steps // 3)).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("lam", [0.7, -0.7])
def test_absgd_goes_to_the_stationary_point_and_without_the_moving_average_it_does_not(lam) -> None:
    plain = solution(1e6, np.zeros(2))
    exact = solution(lam, plain)
    assert np.linalg.norm(exact - plain) > 0.1, "the problem tells F_λ from the mean"
    far = {
        gamma: np.linalg.norm(np.mean([trained(lam, gamma, seed) for seed in range(2)], 0) - exact)
        for gamma in (0.05, 1.0)
    }
    assert far[0.05] < 0.02, far
    assert far[1.0] > 0.03, far


@pytest.mark.parametrize("lam", [0.7, 30.0, -0.7, -30.0])
def test_the_objective_is_that_of_the_robust_problem_however_it_is_cut(lam) -> None:
    losses = torch.cat(batches(3, 5))
    whole, parts = DROObjective(lam), DROObjective(lam)
    whole.update(losses)
    for part in losses.split(4):
        parts.update(part)
    assert float(whole.value()) == pytest.approx(literal.tilted_risk(losses.numpy(), lam), rel=1e-12)
    assert float(parts.value()) == pytest.approx(float(whole.value()), rel=1e-12)
    sign = 1 if lam > 0 else -1
    assert float(whole.value()) == pytest.approx(literal.robust_value(losses.numpy(), abs(lam), sign), abs=1e-6)
    huge = DROObjective(lam)
    huge.update(torch.tensor([1e4, 0.0]))
    assert huge.value().isfinite()


def test_the_objective_goes_from_the_smallest_to_the_largest_loss() -> None:
    losses = torch.cat(batches(3, 5))
    values = []
    for lam in (-1e-3, -1.0, -INF, INF, 1.0, 1e-3):
        objective = DROObjective(lam)
        objective.update(losses)
        values.append(float(objective.value()))
    assert values == sorted(values)
    assert values[0] == pytest.approx(float(losses.min()), abs=0.01)
    assert values[2] == values[3] == pytest.approx(float(losses.mean()))
    assert values[-1] == pytest.approx(float(losses.max()), abs=0.01)


@pytest.mark.parametrize(("method", "lam"), [(ABSGD(lam=-0.5), -0.5), (Tilted(t=-2), -0.5), (Tilted(t=0.4), 2.5)])
def test_the_history_shows_the_objective(method, lam) -> None:
    data = dataset(48)
    training = TrainingConfig(epochs=2, batch_size=16, lr=1e-9, momentum=0.0, device="cpu")
    net = lambda: nn.Linear(6, 3)  # noqa: E731
    trained = train(method, data, net, training)
    with torch.no_grad():
        losses = nn.functional.cross_entropy(trained.state.net(data.x), data.y, reduction="none").double()
    for row in trained.history:
        assert row["objective"] == pytest.approx(literal.tilted_risk(losses.numpy(), lam), rel=1e-4)
        assert 1 <= row["effective_size"] <= 16
        assert row["largest_weight"] >= 1
        assert "log_s" not in row or np.isfinite(row["log_s"])
    assert ("log_s" in trained.history[0]) == isinstance(method, ABSGD)


def test_tilted_without_tilt_shows_the_mean_loss() -> None:
    trained = train(
        Tilted(t=0.0), dataset(48), make_net, TrainingConfig(epochs=1, batch_size=16, lr=0.01, device="cpu")
    )
    assert trained.history[0]["objective"] == pytest.approx(trained.history[0]["loss"], rel=1e-5)


def test_the_schedule_begins_plainly_and_s_begins_again_with_each_lambda() -> None:
    training = TrainingConfig(epochs=4, batch_size=16, lr=0.05, device="cpu")
    data = dataset()
    plain = train(ERM(), data, make_net, training).history
    for lam in ([[0, INF], [0.5, 2.0]], [[0, INF], [2, 2.0]]):
        history = train(ABSGD(lam=lam), data, make_net, training).history
        assert [a["loss"] == b["loss"] for a, b in zip(history, plain, strict=True)] == [True, True, False, False]
        assert ["log_s" in row for row in history] == [False, False, True, True]
    method = ABSGD(lam=((0, 0.1), (1, -0.1)))
    state, batch = start(method)
    observed(method, state, batch)
    before = float(state.log_s)
    method.end_epoch(state, task(data), Clock(0, 3, 4), PlainEngine({}, torch.device("cpu")))
    assert state.log_s == -INF
    out = method.forward(state, batch)
    with torch.no_grad():
        method.observe(Step(state, batch, out, Clock(1, 3, 4)))
    losses = out.extra.detach()
    assert float(state.log_s) == pytest.approx(float(log_mean_exp(losses / -0.1)), rel=1e-5)
    assert before > 0 > float(state.log_s)


def test_class_weights_are_inside_the_loss() -> None:
    balanced: Any = make_method("cb-ce", {})
    method = ABSGD(lam=0.5, gamma=1.0, class_weights=balanced.class_weights)
    data = dataset().subset(torch.cat([torch.arange(0, 50, 3), torch.arange(1, 50, 9), torch.arange(2, 50, 3)]))
    state = method.init(task(data), make_net)
    batch = Batch(data.x, data.y, data.index, data.group)
    step = observed(method, state, batch)
    losses = (step.out.extra * state.class_weight[data.y]).detach()
    assert state.class_weight.std() > 0.1
    p = literal.absgd([losses.double().numpy()], 0.5, 1.0, None)[0]
    expected = np.mean(p * losses.double().numpy())
    assert method.objective(step).total.item() == pytest.approx(expected, rel=1e-5)


def test_abadam_is_adamw_on_weighted_gradients() -> None:
    """Equation 9, with torch's AdamW for the rest: the weight decay is outside, as it has it."""
    data, training = dataset(32), TrainingConfig(epochs=1, batch_size=32, lr=0.05, weight_decay=0.1, device="cpu")
    net = lambda: nn.Linear(6, 3)  # noqa: E731
    trained = train(make_method("abadam", {"lam": 0.5}), data, net, training, seed=4)
    torch.manual_seed(4)
    again = net()
    optimizer = torch.optim.AdamW(again.parameters(), 0.001, weight_decay=0.1)
    losses = nn.functional.cross_entropy(again(data.x), data.y, reduction="none")
    p = literal.absgd([losses.detach().double().numpy()], 0.5, 0.9, None)[0]
    (torch.tensor(p) * losses).mean().backward()
    optimizer.step()
    for a, b in zip(trained.state.net.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_tilted_is_absgd_that_looks_at_no_other_batch() -> None:
    losses = batches()[0]
    p, _ = attentional_weights(losses, torch.tensor(3.0, dtype=torch.float64), 0.5, 1.0)
    torch.testing.assert_close(p, tilted_weights(losses, 2.0))


def test_cvar_without_a_whole_number_and_with_ties() -> None:
    losses = torch.tensor([1.0, 3.0, 2.0, 5.0, 4.0], dtype=torch.float64)
    np.testing.assert_allclose(cvar_weights(losses, 0.5), literal.cvar(losses.numpy(), 0.5), atol=1e-9)
    assert cvar_weights(losses, 0.5).tolist() == [0.0, 1.0, 0.0, 2.0, 2.0]
    ties = cvar_weights(torch.ones(5), 0.4)
    assert float(ties.sum()) == pytest.approx(5)
    assert float(cvar_weights(losses, 1e-6).max()) == pytest.approx(5)  # of a batch, never less than one example


def test_eg_without_memory_is_tilted_the_other_way() -> None:
    method, other = EG(eta=0.6, memory=0.0), make_method("tilted", {"t": -0.6})
    assert same(weights(run(method).state.net), weights(run(other).state.net))


def test_a_device_without_double_precision_has_the_objective_in_single() -> None:
    def incompatible_with(t):
        if t.dtype == torch.float64:
            raise TypeError("Cannot convert a tensor to float64 dtype")
        return t

    objective = DROObjective(2.0)
    objective._apply(incompatible_with)
    objective.update(torch.tensor([1.0, 2.0]))
    assert objective.total.dtype == torch.float32
    assert float(objective.value()) == pytest.approx(literal.tilted_risk(np.array([1.0, 2.0]), 2.0), rel=1e-5)


def test_effective_size() -> None:
    assert float(effective_size(torch.ones(9))) == pytest.approx(9)
    assert float(effective_size(torch.tensor([1e30, 0.0, 0.0]))) == pytest.approx(1)
    assert float(effective_size(torch.tensor([2.0, 1.0, 1.0]))) == pytest.approx(16 / 6)


def test_negative_losses_get_a_note_with_the_meaning() -> None:
    data = dataset(kind="regression")
    fitted = replace(data, x=torch.cat([data.x, data.targets[:, None]], 1))
    training = TrainingConfig(epochs=6, batch_size=16, lr=0.1, device="cpu")
    trained = train(
        make_method("absgd(loss=gaussian-nll)", {}), fitted, lambda: nn.Sequential(nn.Linear(7, 1)), training
    )
    assert trained.history[-1]["negative_losses"] > 0
    assert any("absgd: some losses were below 0. Its weights go by differences" in note for note in trained.notes)


def test_weights_that_rest_on_few_examples_get_a_note() -> None:
    training = TrainingConfig(epochs=2, batch_size=48, lr=1e-6, device="cpu")
    hard = train(ABSGD(lam=0.01), dataset(48), make_net, training)
    assert len(hard.notes) == 1
    assert "absgd: in the last epoch the weights of a batch rested on fewer than a twentieth" in hard.notes[0]
    assert "take a larger |λ|" in hard.notes[0]
    assert hard.history[-1]["effective_size"] < 0.05 * 48
    recipe = make_method("two-stage(first=absgd(lam=0.01), then=erm, begins=0.5)", {})
    assert train(recipe, dataset(48), make_net, training).notes == hard.notes, "of the first stage too"
    assert train(ABSGD(lam=5), dataset(48), make_net, training).notes == ()


def in_two_processes(rank, port, queue):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    x = torch.arange(5.0) if rank == 0 else torch.tensor([7.0, -2.0, 100.0])
    queue.put(float(log_mean_exp(x)))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_the_mean_is_over_all_processes() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=in_two_processes, args=(rank, port, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    means = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
    everyone = torch.cat([torch.arange(5.0), torch.tensor([7.0, -2.0, 100.0])])
    expected = float(everyone.double().exp().mean().log())
    assert means == pytest.approx([expected] * 2)


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("absgd(lam=0)", "method.lam", 0),
        ("absgd(lam=five)", "method.lam", "five"),
        ("absgd(gamma=0)", "method.gamma", 0),
        ("absgd(gamma=1.5)", "method.gamma", 1.5),
        ("absgd(alpha=0)", "method.alpha", 0),
        ("absgd(uniform=-1)", "method.uniform", -1),
        ("absgd(start=one)", "method.start", "one"),
        ("absgd(optimizer=adan)", "method.optimizer", "adan"),
        ("absgd(lam=[[0, 5], [0.5, 0]])", "method.lam", 0),
        ("absgd(lam=[[0.5, 5]])", "method.lam", [[0.5, 5.0]]),
        ("absgd(lam=[[0, 5], [0.5, 2], [0.5, 1]])", "method.lam", [[0.0, 5.0], [0.5, 2.0], [0.5, 1.0]]),
        ("absgd(lam=[[0, 5], [-1, 2]])", "method.lam", [-1.0, 2.0]),
        ("absgd(lam=[[0, 5, 6]])", "method.lam", ((0.0, 5.0, 6.0),)),
        ("absgd(lam=[])", "method.lam", []),
        ("absgd(loss=dmi)", "method.loss", "dmi"),
        ("erm(loss=dmi, class_weights=inverse)", "method.loss", "dmi"),
        ("tilted(t=inf)", "method.t", float("inf")),
        ("cvar(alpha=0)", "method.alpha", 0),
        ("cvar(alpha=1.1)", "method.alpha", 1.1),
        ("eg(eta=-1)", "method.eta", -1),
        ("eg(memory=2)", "method.memory", 2),
        ("group-dro(step_size=-0.1)", "method.step_size", -0.1),
        ("group-dro(adjustment=inf)", "method.adjustment", float("inf")),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(("lam", "gamma"), [(0.0, 0.9), (float("nan"), 0.9), (1.0, 0.0), (1.0, 1.1)])
def test_the_function_for_other_loops_checks_its_arguments_too(lam, gamma) -> None:
    setting, value = ("gamma", gamma) if lam == 1 else ("lam", lam)
    with refused(setting, pytest.approx(value, nan_ok=True)):
        attentional_weights(torch.ones(3), None, lam, gamma)
    with refused("lam", 0.0):
        DROObjective(0.0)
