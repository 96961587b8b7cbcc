"""Co-teaching and ELR: against their literal equations, in settings where they are plain training, and on bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from skedastic.core.per_example import PerExampleBuffer
from skedastic.core.small_loss import forget_rate, smallest
from skedastic.methods.co_teaching import CoTeaching
from skedastic.methods.elr import ELR, TargetEma, early_learning, moved_target, probabilities
from skedastic.methods.erm import ERM
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.loop import make_task
from tests.reference import noise_cleaning as literal
from tests.support.methods import TRAINING, batch_of, dataset, observed, same, start, task, weights
from tests.support.refusals import refused


def flat_net():
    """A network without dropout."""
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.9, 0.95])
def test_small_losses_are_the_smallest_and_in_the_batchs_order(rate) -> None:
    losses = torch.randn(10, generator=torch.Generator().manual_seed(3))
    positions = smallest(losses, rate).tolist()
    assert positions == sorted(literal.kept(losses.numpy(), rate))


def test_of_equal_losses_the_first_are_kept() -> None:
    assert smallest(torch.zeros(6), 0.5).tolist() == [0, 1, 2]


def test_the_forget_rate_rises_to_its_end_and_stays() -> None:
    assert [forget_rate(0.4, t, 4) for t in range(6)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4])
    assert forget_rate(0.4, 2, 4, exponent=2) == pytest.approx(0.1)
    assert forget_rate(0.4, 0, 0) == 0.4


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5])
def test_co_teaching_is_its_algorithm(rate) -> None:
    method = CoTeaching(forget_rate=rate, gradual=0)
    state, batch = start(method)
    step = observed(method, state, batch)
    objective = method.objective(step)
    first, other = (losses.detach().double().numpy() for losses in step.out.extra.losses)
    assert float(objective.total.detach()) == pytest.approx(sum(literal.co_teaching(first, other, rate)), rel=1e-6)
    objective.total.backward()
    alone = nn.functional.cross_entropy(step.out.logits, batch.y, reduction="none")
    torch.testing.assert_close(objective.per_example, alone.detach())


def test_each_network_learns_from_the_examples_that_the_other_keeps() -> None:
    """An example that only the first finds easy moves the second alone."""
    method = CoTeaching(forget_rate=0.5, gradual=0)
    state, batch = start(method)
    step = observed(method, state, batch)
    losses = tuple(torch.rand(16, generator=torch.Generator().manual_seed(k)).requires_grad_() for k in (1, 2))
    out = step.out._replace(extra=step.out.extra._replace(losses=losses))
    method.objective(replace(step, out=out)).total.backward()
    for mine, peer in (losses, losses[::-1]):
        assert set(mine.grad.nonzero().flatten().tolist()) == literal.kept(peer.detach().numpy(), 0.5)
        np.testing.assert_allclose(mine.grad[mine.grad != 0], 1 / 8)


def test_without_forgetting_and_dropout_its_first_network_is_plain_training_to_the_bit() -> None:
    data = dataset()
    ours, plain = (train(m, data, flat_net, TRAINING) for m in (CoTeaching(forget_rate=0.0), ERM()))
    assert same(weights(ours.state.net), weights(plain.state.net))
    assert not same(weights(ours.state.other), weights(plain.state.net))


def test_the_rate_is_that_of_the_estimate() -> None:
    data = dataset()
    state = CoTeaching().init(task(data), flat_net)
    share = torch.tensor([17.0, 17, 16]) / 50
    assert float(state.rate) == pytest.approx(float((share * torch.tensor([0.1, 0.3, 0.2])).sum()))
    with refused("co-teaching.forget_rate", "auto", rule="needs an estimate"):
        CoTeaching().init(make_task(data), flat_net)


def test_elr_is_its_equations_over_several_visits() -> None:
    method, data = ELR(lam=2.0, beta=0.6), dataset()
    state = method.init(task(data), flat_net).train()
    visits: list[tuple[int, np.ndarray]] = []
    terms: list[float] = []
    losses: list[tuple[float, float, float]] = []
    g = torch.Generator().manual_seed(1)
    for _ in range(4):
        batch = batch_of(data, torch.randperm(50, generator=g)[:20])
        step = observed(method, state, batch)
        objective = method.objective(step)
        visits += zip(batch.index.tolist(), step.out.logits.detach().double().softmax(1).numpy(), strict=True)
        terms += objective.logs["early_learning"].tolist()
        losses.append(
            (
                float(objective.total.detach()),
                float(step.out.extra.detach().mean()),
                float(objective.logs["early_learning"].mean()),
            )
        )
    expected, targets = literal.elr(visits, 3, 0.6)
    np.testing.assert_allclose(terms, expected, rtol=1e-4, atol=1e-6)
    kept = state.targets.of(torch.tensor(sorted(targets)))
    np.testing.assert_allclose(kept, [targets[i] for i in sorted(targets)], rtol=1e-5)
    assert all(total == pytest.approx(plain + 2 * term, rel=1e-6) for total, plain, term in losses)


def test_elrs_gradient_is_of_p_alone_and_finite_where_a_prediction_is_sure() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0], [0.0, 1.0, 2.0]], requires_grad=True)
    target = moved_target(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]), probabilities(logits).detach(), 0.9)
    early_learning(target, probabilities(logits)).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1, 2] < 0, "the term pulls a prediction toward its target"


def test_top_k_keeps_the_largest_entries() -> None:
    targets = TargetEma(torch.tensor([7, 3, 5]), 4, 2)
    targets.put(torch.tensor([5, 7]), torch.tensor([[0.1, 0.4, 0.3, 0.2], [0.0, 0.0, 0.9, 0.1]]))
    assert targets.of(torch.tensor([7, 5])).tolist() == pytest.approx(
        [pytest.approx([0, 0, 0.9, 0.1]), pytest.approx([0, 0.4, 0.3, 0])]
    )
    assert targets.of(torch.tensor([3])).tolist() == [[0, 0, 0, 0]]
    whole, sparse = (train(ELR(top_k=k), dataset(), flat_net, TRAINING) for k in (None, 3))
    assert same(weights(whole.state.net), weights(sparse.state.net))


@pytest.mark.parametrize(("rate", "forgotten", "says"), [("auto", 0.4, 1), ("auto", 0.3, 0), (0.4, 0.4, 0)])
def test_an_estimate_that_leaves_much_out_is_told(rate, forgotten, says) -> None:
    notes = CoTeaching(forget_rate=rate).notes([{"forgotten": 0.0}, {"forgotten": forgotten}], 16)
    assert len(notes) == says
    assert all("forget_rate=auto leaves out more than a third" in text for text in notes)


def test_memory_goes_by_name_and_not_by_place() -> None:
    memory = PerExampleBuffer(torch.tensor([40, 10, 30]), 2)
    memory.put(torch.tensor([30, 40]), torch.tensor([[1.0, 2], [3, 4]]))
    assert memory.of(torch.tensor([40, 10, 30])).tolist() == [[3, 4], [0, 0], [1, 2]]


def test_targets_do_not_depend_on_the_order_of_the_rows() -> None:
    """The same examples in another order of the data set: the same names, the same targets."""
    data = dataset()
    turned = data.subset(torch.arange(49, -1, -1))
    states = [ELR().init(make_task(d), flat_net) for d in (data, turned)]
    for state in states:
        state.targets.put(torch.tensor([120, 101]), torch.eye(3)[:2])
    assert torch.equal(states[0].targets.of(data.index), states[1].targets.of(data.index))


@pytest.mark.parametrize(
    ("method", "setting", "value"),
    [
        ("co-teaching", "forget_rate", 1.0),
        ("co-teaching", "forget_rate", -0.1),
        ("co-teaching", "forget_rate", float("nan")),
        ("co-teaching", "forget_rate", "atuo"),
        ("co-teaching", "gradual", -1.0),
        ("co-teaching", "exponent", 0.0),
        ("co-teaching", "loss", "dmi"),
        ("elr", "lam", -1.0),
        ("elr", "beta", 1.0),
        ("elr", "top_k", 0),
    ],
)
def test_bad_settings_are_refused(method, setting, value) -> None:
    with refused(f"method.{setting}", value if isinstance(value, str) else pytest.approx(value, nan_ok=True)):
        make_method(method, {setting: value})


def test_one_network_where_two_are_needed() -> None:
    one = flat_net()
    with refused("model", rule="gives the same one twice"):
        CoTeaching(forget_rate=0.1).init(task(dataset()), lambda: one)

    def seeded():
        torch.manual_seed(0)
        return flat_net()

    with refused("model", rule="begin with the same weights"):
        CoTeaching(forget_rate=0.1).init(task(dataset()), seeded)


def test_regression_takes_a_rate_that_is_given() -> None:
    assert "regression" in CoTeaching(forget_rate=0.2).capabilities.tasks
    assert "regression" not in CoTeaching().capabilities.tasks
    assert replace(CoTeaching(), forget_rate=0.0).capabilities.needs == frozenset()
