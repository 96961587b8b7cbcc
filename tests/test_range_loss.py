"""Range loss: against its literal equations and their gradient, awkward batches, and bad input."""

import numpy as np
import pytest
import torch
from torch import nn

from skedastic.config import make_method
from skedastic.core.features import inputs_of
from skedastic.errors import UserError
from skedastic.methods.base import MIXED, Clock
from skedastic.methods.mixup import Mixup
from skedastic.methods.range_loss import RangeLoss, centre_distance, intra_range
from tests.reference import range_loss as literal
from tests.test_contract import batch_of, dataset, observed, start, task

CLOCK = Clock(0, 1, 0)


def drawn(n: int = 14, d: int = 5, classes: int = 4):
    g = torch.Generator().manual_seed(n)
    y = torch.randint(0, classes, (n,), generator=g)
    return (torch.randn(n, d, generator=g, dtype=torch.float64) + 10).requires_grad_(), y


def numerical(f, x: torch.Tensor) -> np.ndarray:
    """The gradient of f at x by central differences."""
    x = x.detach().numpy()
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        found[place] = (f(x + step) - f(x - step)) / 2e-6
    return found


@pytest.mark.parametrize("k", [1, 2, 3, 50])
def test_the_ranges_are_their_equation_and_so_is_their_gradient(k):
    x, y = drawn()
    found = intra_range(x, y, k)
    assert float(found.detach()) == pytest.approx(literal.intra(x.detach().numpy(), y.tolist(), k))
    found.backward()
    np.testing.assert_allclose(x.grad, numerical(lambda v: literal.intra(v, y.tolist(), k), x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("margin", [0.0, 3.0, 1000.0])
def test_the_distance_of_centres_is_its_equation_and_so_is_its_gradient(margin):
    x, y = drawn()
    found = (margin - centre_distance(x, y)).clamp_min(0)
    assert float(found.detach()) == pytest.approx(literal.inter(x.detach().numpy(), y.tolist(), margin))
    found.backward()
    np.testing.assert_allclose(
        x.grad, numerical(lambda v: literal.inter(v, y.tolist(), margin), x), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("lam", [0.5, 1.0])
def test_the_objective_is_the_loss_and_both_terms_of_the_features_before_the_head(lam):
    method = RangeLoss(lam=lam, alpha=0.3, beta=0.2, margin=50.0, k=3)
    state, batch = start(method)
    with inputs_of(state.net[-1]) as read:
        out = observed(method, state, batch)
    objective = method.objective(state, batch, out, CLOCK)
    x, y = read[0].detach().double().numpy(), batch.y.tolist()
    plain = nn.functional.cross_entropy(out.logits, batch.y).item()
    terms = 0.3 * literal.intra(x, y, 3) + 0.2 * literal.inter(x, y, 50.0)
    assert float(objective.total.detach()) == pytest.approx(plain + lam * terms, rel=1e-5)
    assert float(objective.per_example.mean()) == pytest.approx(plain, rel=1e-6)


def test_a_step_narrows_ranges_and_widens_the_gap():
    for settings, term, sign in (
        ({"alpha": 1.0, "beta": 0.0}, lambda x, y: intra_range(x, y, 2), -1),
        ({"alpha": 0.0, "beta": 1.0, "margin": 1e6}, centre_distance, 1),
    ):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 3))
        method = RangeLoss(**settings)
        state, batch = method.init(task(dataset()), lambda: net), batch_of(dataset(), slice(16))  # noqa: B023
        out = method.forward(state, batch)
        before = term(out.extra.features, batch.y).detach()
        gradients = torch.autograd.grad(
            method.objective(state, batch, out, CLOCK).total, list(net.parameters()), allow_unused=True
        )
        with torch.no_grad():
            for p, g in zip(net.parameters(), gradients, strict=True):
                p -= 1e-4 * g
        after = term(method.forward(state, batch).extra.features, batch.y)
        assert sign * float((after - before).detach()) > 0


def test_a_batch_of_one_class_or_of_single_examples_is_no_trouble():
    x, y = drawn()
    assert centre_distance(x, torch.zeros_like(y)) is None
    assert float(intra_range(x, torch.arange(14), 2)) == 0
    method = RangeLoss()
    state, _ = start(method)
    for rows in ([0, 3, 6], [0, 1, 2]):
        batch = batch_of(dataset(), torch.tensor(rows))
        objective = method.objective(state, batch, method.forward(state, batch), CLOCK)
        objective.total.backward()
        assert objective.total.isfinite()


def test_an_example_that_comes_twice_leaves_gradients_finite():
    x = torch.ones(4, 3, requires_grad=True)
    total = intra_range(x, torch.tensor([0, 0, 0, 1]), 2)
    total.backward()
    assert float(total.detach()) == pytest.approx(0, abs=1e-9)
    assert x.grad.isfinite().all()


def test_class_weights_are_on_the_loss_and_not_on_the_features():
    weights = {"class_weights": "given(weights_of={a=2.0, b=2.0, c=2.0})"}
    (state, batch), twice, once = start(RangeLoss()), make_method("range-loss", weights), RangeLoss()
    out = once.forward(state, batch)
    state.class_weight = torch.full((3,), 2.0)
    more = twice.objective(state, batch, out, CLOCK).total - once.objective(state, batch, out, CLOCK).total
    torch.testing.assert_close(more, out.extra.losses.mean())


def test_features_are_read_in_single_precision_where_the_network_runs_in_half():
    method = RangeLoss()
    state, batch = start(method)
    with torch.autocast("cpu", torch.bfloat16):
        out = method.forward(state, batch)
    assert out.extra.features.dtype == torch.float32


def test_no_hook_is_left_behind():
    state, batch = start(RangeLoss())
    RangeLoss().forward(state, batch)
    assert not any(m._forward_pre_hooks for m in state.modules())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lam": -1.0}, r"lam=-1.0.*at least 0"),
        ({"alpha": float("nan")}, "alpha=nan"),
        ({"beta": -0.1}, "beta=-0.1"),
        ({"margin": float("inf")}, "margin=inf"),
        ({"k": 0}, "k=0.*at least 1"),
    ],
)
def test_bad_settings_are_one_line(settings, said):
    with pytest.raises(UserError, match=said):
        make_method("range-loss", settings)


def test_a_network_without_a_last_layer_and_mixtures_are_refused():
    with pytest.raises(UserError, match="no last layer"):
        RangeLoss().init(task(dataset()), lambda: nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 7)))
    assert MIXED in RangeLoss().refuses
    with pytest.raises(UserError, match="pairs of one class"):
        Mixup(base=RangeLoss())
