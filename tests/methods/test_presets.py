"""The published names against the papers and the authors' command lines."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from skedastic.core.epochs import epoch_of
from skedastic.losses.gce import GCE
from skedastic.losses.sce import SCE
from skedastic.methods.absgd import ABSGD
from skedastic.methods.bases.step import Clock
from skedastic.settings.methods import make_method
from skedastic.training import TrainingConfig, train
from skedastic.training.optimizers import make_optimizer, make_schedule
from tests.support.methods import dataset, long_tail, make_net, observed, start, task
from tests.support.refusals import refused

INF = math.inf


@pytest.mark.parametrize(("name", "loss"), [("absgd-ce", None), ("absgd-sce", SCE()), ("absgd-tce", GCE())])
def test_absgd_for_label_noise_is_the_authors_command_lines(name, loss) -> None:
    """--droGamma 0.5 --abAlpha 0.5, λ from epoch 80 of 120 on; 1 is added to each weight; TCE stays untruncated."""
    method = make_method(name, {})
    assert isinstance(method, ABSGD)
    assert (method.gamma, method.alpha, method.uniform) == (0.5, 0.5, 1.0)
    assert [method.lam_at(Clock(epoch, 120, 0)) for epoch in (79, 80)] == [INF, -1.0]
    assert loss is None or method.loss == loss


@pytest.mark.parametrize("lam", [-1.0, -5.0])
def test_absgd_tce_has_the_gradient_of_the_authors_loss(lam) -> None:
    """(L_q − L_q(k)) · 1 for every example, exp of it over u, plus 1; u from 0. The constant L_q(k) cancels."""
    method = make_method("absgd-tce", {"lam": lam, "start": "zero"})
    state, batch = start(method)
    u = torch.tensor(0.0)
    for _ in range(4):
        step = observed(method, state, batch)
        ours = method.objective(step).total
        p = step.out.logits.softmax(1).gather(1, batch.y[:, None])[:, 0]
        theirs = (1 - p**0.7) / 0.7 - (1 - 0.5**0.7) / 0.7
        u = 0.5 * u + 0.5 * 0.5 * (theirs / lam).exp().mean().detach()
        weight = (theirs / lam).exp().detach() / u + 1
        gradients = [
            torch.autograd.grad(x, list(state.net.parameters()), retain_graph=True)
            for x in (ours, (weight * theirs).mean())
        ]
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def loss_of(name) -> Any:
    method: Any = make_method(name, {})
    return method.loss


def test_gamma_of_the_focal_loss_is_lins_and_in_absgds_rows_theirs() -> None:
    gamma = {n: loss_of(n).gamma for n in ("focal", "cb-focal", "absgd-focal", "absgd-cb-focal")}
    assert gamma == {"focal": 2, "cb-focal": 1, "absgd-focal": 1, "absgd-cb-focal": 1}


DEFERRED = ("ldam-drw", "cb-ldam", "absgd-cb-ce", "absgd-cb-focal", "absgd-cb-ldam", "har-drw")
PROTOCOLS = {  # Cao et al. 2019 and Qi et al., Cao et al. 2021, ours
    160: TrainingConfig(epochs=200, milestones=(0.8, 0.9), decay=0.01, warmup=0.025).settled(),
    80: TrainingConfig(epochs=120).settled(),
    40: TrainingConfig(epochs=60).settled(),
}


@pytest.mark.parametrize("name", DEFERRED)
@pytest.mark.parametrize("at", PROTOCOLS)
def test_weights_and_lambda_begin_as_the_learning_rate_drops(name, at) -> None:
    """Algorithm 1 of LDAM, and epoch // 160, epoch // 80 and CB_shots = lamda_shots = 160 in the codes."""
    training, data = PROTOCOLS[at], long_tail()
    method: Any = make_method(name, {})
    state = method.init(task(data), make_net)
    optimizer = make_optimizer(training, state.parameters())
    schedule = make_schedule(training, optimizer, training.epochs)
    begun, rates = [], []
    for epoch in range(training.epochs):
        clock = Clock(epoch, training.epochs, 0, training.first_drop(training.epochs))
        begun.append(method.class_weight(state, data.y, clock) is not None)
        rates.append(optimizer.param_groups[0]["lr"])
        if isinstance(method, ABSGD):
            assert (method.lam_at(clock) == 5) == begun[-1]
        optimizer.step()
        schedule.step()
    assert begun.index(True) == at
    assert rates[at] == pytest.approx(training.lr * training.decay)
    assert rates[at - 1] == pytest.approx(training.lr)


@pytest.mark.parametrize(
    ("settings", "drop"),
    [
        ({"schedule": "cosine"}, None),
        ({"schedule": "constant"}, None),
        ({"milestones": ()}, None),
        ({"milestones": (1.0,)}, None),
        ({"decay": 1.0}, None),
        ({"milestones": (0.9, 0.3)}, 3),
        ({"milestones": (0.1,), "warmup": 0.5}, 6),
    ],
)
def test_a_rate_that_does_not_drop_leaves_them_at_the_papers_share(settings, drop) -> None:
    training = TrainingConfig(epochs=10, lr=1.0, **settings).settled()
    assert training.first_drop(10) == drop
    assert epoch_of("first-drop", 10, drop) == (8 if drop is None else drop)
    if drop is not None:
        parameter = nn.Parameter(torch.zeros(1))
        optimizer = make_optimizer(training, [parameter])
        schedule, rates = make_schedule(training, optimizer, 10), []
        for _ in range(10):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        assert next(e for e in range(1, 10) if rates[e] < 0.5 * rates[e - 1]) == drop


def test_a_schedule_of_lambda_may_wait_for_the_drop_and_says_what_it_can_not() -> None:
    method: Any = make_method("absgd(lam=[[0, inf], [first-drop, 5]])", {})
    assert [method.lam_at(Clock(e, 10, 0, 6)) for e in (5, 6)] == [INF, 5]
    for lam in ([["first-drop", 5.0]], [[0, INF], ["first-drop", 5.0], ["first-drop", 2.0]]):
        with refused("absgd.lam", lam, rule="must begin at 0 and rise"):
            ABSGD(lam=tuple(map(tuple, lam)))
    with refused("absgd.lam", ((0.0, "first-drop"),)):
        ABSGD(lam=((0.0, "first-drop"),))


def test_abadam_without_correction_is_equation_9_as_it_stands() -> None:
    data = dataset(32)
    training = TrainingConfig(epochs=4, batch_size=32, lr=0.05, weight_decay=0.1, device="cpu")
    net = lambda: nn.Linear(6, 3)  # noqa: E731
    trained = train(make_method("abadam-uncorrected", {"lam": 0.5, "gamma": 1.0}), data, net, training, seed=4)
    torch.manual_seed(4)
    again = net().double()
    averages = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in again.parameters()}
    for rate in [row["lr"] for row in trained.history]:
        losses = nn.functional.cross_entropy(again(data.x.double()), data.y, reduction="none")
        tilted = (losses / 0.5).exp().detach()
        again.zero_grad()
        (tilted / tilted.mean() * losses).mean().backward()
        with torch.no_grad():
            for p, (v, u) in averages.items():
                v.mul_(0.9).add_(0.1 * p.grad)
                u.mul_(0.999).add_(0.001 * p.grad**2)
                p.sub_(rate * (v / (u.sqrt() + 1e-8) + 0.1 * p))
    for a, b in zip(trained.state.net.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b.float(), rtol=1e-5, atol=1e-6)
    with refused("absgd.bias_correction", False, rule="only adam"):
        train(ABSGD(bias_correction=False), data, net, training)
