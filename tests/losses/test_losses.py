"""The losses: their literal versions, other people's, their gradients, their edges, what they are called."""

import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import log_loss
from torch import Tensor

import skedastic as sk
from skedastic import losses
from skedastic.losses.absolute import Absolute
from skedastic.losses.auto import Auto
from skedastic.losses.balanced_softmax import BalancedSoftmax
from skedastic.losses.corrected import Corrected
from skedastic.losses.cross_entropy import CrossEntropy
from skedastic.losses.dmi import DMI
from skedastic.losses.focal import Focal
from skedastic.losses.gaussian_nll import GaussianNLL
from skedastic.losses.gce import GCE
from skedastic.losses.huber import Huber
from skedastic.losses.ldam import LDAM
from skedastic.losses.logit_adjusted import LogitAdjusted
from skedastic.losses.poly1 import Poly1
from skedastic.losses.sce import SCE
from skedastic.losses.squared import Squared
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.settings.methods import make_method, method_table
from skedastic.settings.reading import build_config, read, to_toml
from tests.reference import losses as literal
from tests.support.refusals import refused

COUNT = torch.tensor([40, 16, 3, 1])
TRANSITIONS = torch.from_numpy(literal.TRANSITIONS)
SETTINGS: dict[str, list[dict[str, Any]]] = {  # beside the defaults
    "cross-entropy": [{"smoothing": 0.1}, {"smoothing": 0.9}],
    "focal": [{"gamma": 0.5}, {"gamma": 1.0}, {"gamma": 5.0}],
    "gce": [{"q": 1.0}, {"q": 0.05}, {"truncation": 0.4}, {"q": 0.0, "truncation": 0.4}],
    "sce": [{"alpha": 6.0, "beta": 0.1, "log_zero": -9.21}, {"alpha": 0.0}],
    "dmi": [{"offset": 0.001}],
    "poly1": [{"epsilon": -1.0}, {"epsilon": 0.3}],
    "ldam": [{"margin": 0.2, "scale": 3.0}, {"margin": 2.0}],
    "logit-adjusted": [{"tau": 0.5}, {"tau": 2.0}, {"tau": 0.5, "target": (0.1, 0.2, 0.3, 0.4)}],
    "huber": [{"delta": 0.4}],
    "gaussian-nll": [{"floor": 0.5}, {"beta": 0.0}, {"beta": 0.5}],
}
CASES = [
    pytest.param(name, cls(**settings), task, id=f"{name}-{settings}-{task}")
    for name, cls in losses.discover().items()
    for settings in [{}, *SETTINGS.get(name, [])]
    for task in sorted(cls.supports)
]
LIMITS = [
    pytest.param(cls(**limit), "classification", id=f"{name}-{dict(limit)}")
    for name, cls in losses.discover().items()
    for limit in cls.reduces_to_cross_entropy
]
EACH = [pytest.param(cls, id=name) for name, cls in losses.discover().items()]
OF_LOGITS = [case for case in EACH if "classification" in case.values[0].supports]
OF_NUMBERS = [case for case in EACH if "regression" in case.values[0].supports]


def batch(loss, task, spread=1.0):
    """Return random outputs and targets of 20 examples in float64, as the loss takes them."""
    g = torch.Generator().manual_seed(0)
    if task == "regression":
        shape = (20,) if loss.outputs == 1 else (20, loss.outputs)
        return spread * torch.randn(shape, generator=g).double(), torch.randn(20, generator=g).double()
    logits = spread * torch.randn(20, 4, generator=g).double()
    return logits.tanh() if loss.cosines else logits, torch.arange(20) % 4


def extremes(loss, task):
    """Yield batches in float32 whose probabilities of the label are 0 and 1: all right, all wrong, and mixtures."""
    sizes = torch.tensor([1e4, 200.0, 20.0, 0.0, -200.0, -1e4])
    if task == "regression":
        rows = sizes if loss.outputs == 1 else torch.cartesian_prod(*[sizes] * loss.outputs)
        yield rows, torch.linspace(-2, 2, len(rows))
        return
    rows, y = torch.cartesian_prod(*[sizes] * 4), torch.arange(6**4) % 4
    for shift in range(4):
        yield rows.clone(), (y + shift) % 4
        for size in (20, 200, 1e4):
            yield size * (2 * F.one_hot(y[:20], 4) - 1).float(), (y[:20] + shift) % 4


def same(actual: Tensor, expected, atol=0.0, rtol=0.0):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, atol=atol, rtol=rtol)


@pytest.mark.parametrize(("name", "loss", "task"), [case for case in CASES if case.values[0] != "auto"])
@pytest.mark.parametrize("spread", [1.0, 8.0])
def test_a_loss_is_its_literal_version(name, loss, task, spread) -> None:
    name = name.replace("-", "_")
    assert hasattr(literal, name), f"write {name} in tests/reference/losses.py, from the equation of the paper"
    outputs, y = batch(loss, task, spread)
    before = outputs.clone()
    of_classes = loss.of_classes(COUNT, TRANSITIONS)
    per_example = loss(outputs, y, of_classes)
    assert per_example.dtype == torch.float64
    expected = getattr(literal, name)(outputs.numpy(), y.numpy(), COUNT.numpy(), **dataclasses.asdict(loss))
    same(per_example, expected, atol=1e-12, rtol=1e-10 if of_classes is None else 1e-5)  # of classes: single precision
    assert torch.equal(outputs, before)


@pytest.mark.parametrize(
    ("loss", "name", "of_classes"),
    [
        (LDAM(), "ldam", torch.from_numpy(literal.ldam_margins(COUNT.numpy(), 0.5))),
        (LogitAdjusted(tau=0.7), "logit_adjusted", 0.7 * (COUNT.double() / COUNT.sum()).log()),
        (BalancedSoftmax(), "balanced_softmax", COUNT.double().log()),
    ],
    ids=["ldam", "logit-adjusted", "balanced-softmax"],
)
def test_a_loss_that_knows_the_classes_is_its_literal_version_in_double_precision(loss, name, of_classes) -> None:
    constants = loss.of_classes(COUNT, TRANSITIONS)
    assert constants.dtype == torch.float32
    same(constants.double(), of_classes, rtol=1e-6)
    outputs, y = batch(loss, "classification", 4.0)
    expected = getattr(literal, name)(outputs.numpy(), y.numpy(), COUNT.numpy(), **dataclasses.asdict(loss))
    same(loss(outputs, y, of_classes), expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize(("name", "loss", "task"), CASES)
def test_gradients_are_those_of_finite_differences(name, loss, task) -> None:
    if getattr(loss, "beta", 0.0) and name == "gaussian-nll":
        loss = dataclasses.replace(loss, beta=0.0)  # with it a factor is held constant, which differences can't tell
    outputs, y = batch(loss, task, 1.5)
    of_classes = loss.of_classes(COUNT, TRANSITIONS)
    assert torch.autograd.gradcheck(lambda outputs: loss(outputs, y, of_classes), outputs.requires_grad_())


@pytest.mark.parametrize(("loss", "task"), [pytest.param(*c.values[1:], id=c.id) for c in CASES] + LIMITS)
def test_losses_and_gradients_are_finite_where_probabilities_are_0_and_1(loss, task) -> None:
    for outputs, y in extremes(loss, task):
        per_example = loss(outputs.requires_grad_(), y, loss.of_classes(COUNT, TRANSITIONS))
        assert per_example.dtype == torch.float32
        assert per_example.shape == y.shape
        assert per_example.isfinite().all()
        assert torch.autograd.grad(per_example.sum(), outputs)[0].isfinite().all()
        if task == "classification" and not loss.of_batch:
            assert (per_example >= 0).all()


def test_the_extremes_are_extreme() -> None:
    p = [(-CrossEntropy()(*given)).exp() for given in extremes(CrossEntropy(), "classification")]
    assert [of.unique().tolist() for of in p[2:4]] == [[1.0], [1.0]]
    assert [of.unique().tolist() for of in p[6:8]] == [[0.0], [0.0]]
    assert {0.0, 0.25, 0.5, 1.0} <= set(p[0].tolist())


@pytest.mark.parametrize(("name", "loss", "task"), CASES)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(name, loss, task, half) -> None:
    outputs, y = batch(loss, task, 20.0)
    outputs, y = outputs.clamp(-60, 60).to(half), y.float() if task == "regression" else y
    outputs[0], outputs[1] = 60, -60
    per_example = loss(outputs, y, loss.of_classes(COUNT, TRANSITIONS))
    assert per_example.dtype == torch.float32
    assert per_example.isfinite().all()
    assert torch.equal(per_example, loss(outputs.float(), y, loss.of_classes(COUNT, TRANSITIONS)))


@pytest.mark.parametrize(("name", "loss", "task"), CASES)
def test_a_loss_within_autocast_is_computed_in_single(name, loss, task) -> None:
    outputs, y = batch(loss, task)
    outputs, y = outputs.float(), y.float() if task == "regression" else y
    with torch.autocast("cpu", torch.bfloat16):
        per_example = loss(outputs, y, loss.of_classes(COUNT, TRANSITIONS))
    assert torch.equal(per_example, loss(outputs, y, loss.of_classes(COUNT, TRANSITIONS)))


@pytest.mark.parametrize(("loss", "task"), LIMITS)
def test_the_limits_are_cross_entropy(loss, task) -> None:
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(1)).double()  # LDAM's margins are 0: no cosines
    y = torch.arange(20) % 4
    expected = F.cross_entropy(logits, y, reduction="none")
    same(loss(logits, y, loss.of_classes(COUNT, TRANSITIONS)), expected, atol=1e-5 if loss == GCE(q=1e-7) else 1e-6)
    same(loss(logits.float(), y, loss.of_classes(COUNT, TRANSITIONS)), expected, atol=1e-5)


def test_gce_goes_from_cross_entropy_to_half_the_absolute_error() -> None:
    logits, y = batch(GCE(), "classification", 3.0)
    absolute_error = (F.one_hot(y, 4) - logits.softmax(1)).abs().sum(1)
    same(GCE(q=1.0)(logits, y), absolute_error / 2, rtol=1e-12)


def test_truncated_examples_have_one_loss_and_no_gradient() -> None:
    logits, y = batch(GCE(), "classification", 3.0)
    out = logits.softmax(1).gather(1, y[:, None]).squeeze(1) <= 0.4
    assert 0 < out.sum() < len(y)
    per_example = GCE(q=0.7, truncation=0.4)(logits.requires_grad_(), y)
    same(per_example[out], [(1 - 0.4**0.7) / 0.7] * int(out.sum()), rtol=1e-12)
    gradient = torch.autograd.grad(per_example.sum(), logits)[0].abs().sum(1)
    assert (gradient[out] == 0).all()
    assert (gradient[~out] > 0).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_cross_entropy_is_torchs_and_of_soft_labels_the_weighted_sum_over_classes(smoothing) -> None:
    logits, y = batch(CrossEntropy(), "classification", 5.0)
    loss = CrossEntropy(smoothing=smoothing)
    same(loss(logits, y), F.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing))
    soft = torch.rand(20, 4, generator=torch.Generator().manual_seed(2)).double().softmax(1)
    weighted = sum(soft[:, c] * loss(logits, torch.full_like(y, c)) for c in range(4))
    same(loss(logits, soft), weighted, rtol=1e-12)
    same(loss(logits, soft), literal.cross_entropy(logits.numpy(), soft.numpy(), smoothing=smoothing), rtol=1e-10)
    same(loss(logits, F.one_hot(y, 4).double()), loss(logits, y), rtol=1e-12)


def test_cross_entropy_is_scikit_learns() -> None:
    logits, y = batch(CrossEntropy(), "classification", 3.0)
    p = logits.softmax(1).numpy()
    expected = [log_loss([label], [row], labels=range(4)) for row, label in zip(p, y.tolist(), strict=True)]
    same(CrossEntropy()(logits, y), expected, rtol=1e-10)


@pytest.mark.parametrize("floor", [1e-3, 0.5])
def test_gaussian_nll_is_torchs(floor) -> None:
    outputs, y = batch(GaussianNLL(), "regression", 2.0)
    theirs = torch.nn.GaussianNLLLoss(full=False, eps=floor, reduction="none")
    same(GaussianNLL(floor=floor, beta=0.0)(outputs, y), theirs(outputs[:, 0], y, outputs[:, 1].exp()), rtol=1e-10)
    assert torch.equal(GaussianNLL().predicted(outputs), outputs[:, 0])


def test_gaussian_nll_with_beta_1_fits_the_mean_as_squared_error_does_and_trains_at_the_usual_rate() -> None:
    outputs, y = batch(GaussianNLL(), "regression", 1.0)
    outputs.requires_grad_()
    gradient = torch.autograd.grad(GaussianNLL(beta=1.0)(outputs, y).sum(), outputs)[0]
    same(gradient[:, 0], (outputs[:, 0] - y).detach(), rtol=1e-10)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(300, 5, generator=g)
    target = 10 + 3 * x.sum(1) + 0.5 * torch.randn(300, generator=g)
    training = sk.TrainingConfig(epochs=20, device="cpu")
    how = {"method": "erm(loss=gaussian-nll)", "model": "mlp", "train": training}
    result = sk.fit(x, target, estimate=sk.Estimation(kind="none"), **how)
    error = torch.as_tensor(result.predict(x)) - target
    assert float(error.square().mean().sqrt()) < 0.2 * float(target.std())


def test_ldam_is_pytorch_optimizers() -> None:
    theirs = pytest.importorskip("pytorch_optimizer", reason="LDAM of others: pip install pytorch_optimizer")
    loss = LDAM(margin=0.4, scale=20.0)
    outputs, y = batch(loss, "classification")
    other = theirs.LDAMLoss(COUNT.tolist(), max_m=0.4, s=20.0)
    expected = [float(other(row, label)) for row, label in zip(outputs.split(1), y.split(1), strict=True)]
    same(loss(outputs, y, loss.of_classes(COUNT, TRANSITIONS)), expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_two_classes_is_pytorch_optimizers(gamma) -> None:
    theirs = pytest.importorskip("pytorch_optimizer", reason="focal losses of others: pip install pytorch_optimizer")
    z = torch.linspace(-6, 6, 20, dtype=torch.float64)
    y = torch.arange(20) % 2
    per_example = Focal(gamma=gamma)(torch.stack([torch.zeros_like(z), z], 1), y)
    plain = theirs.FocalLoss(alpha=1.0, gamma=gamma)
    same(per_example, [float(plain(z[i], y[i].double())) for i in range(20)], rtol=1e-10)
    weighted = theirs.BCEFocalLoss(alpha=0.25, gamma=gamma, reduction="none")  # class 0: 1 − alpha
    same(torch.tensor([0.75, 0.25]).double()[y] * per_example, weighted(z.sigmoid(), y.double()), rtol=1e-10)


INSIDE = torch.tensor([0.0, 1e-3, 1.0, 30.0]).double()  # weights of four classes


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_takes_weights_outside_or_inside_of_p(gamma) -> None:
    logits, y = batch(Focal(), "classification", 4.0)
    inside, outside = Focal(gamma=gamma, weights="inside"), Focal(gamma=gamma)
    plain, weight = outside(logits, y), INSIDE[y]
    same(inside(logits, y), plain)  # without weights they are one
    same(outside.weighted(plain, weight, logits, y), plain * weight)
    expected = literal.focal_of_weighted(logits.numpy(), y.numpy(), gamma, weight.numpy())
    same(inside.weighted(plain, weight, logits, y), expected, rtol=1e-9, atol=1e-12)
    same(inside.weighted(plain, torch.ones(20).double(), logits, y), plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_of_weighted_entropies_has_finite_gradients_at_p_0_and_1(gamma) -> None:
    loss = Focal(gamma=gamma, weights="inside")
    for logits, y in extremes(loss, "classification"):
        logits.requires_grad_()
        per_example = loss.weighted(loss(logits, y), INSIDE[y].float(), logits, y)
        assert per_example.isfinite().all()
        assert torch.autograd.grad(per_example.sum(), logits)[0].isfinite().all()


def test_dmi_is_one_number_of_the_batch_that_renamed_labels_leave() -> None:
    logits, y = batch(DMI(), "classification", 2.0)
    per_example = DMI()(logits, y)
    assert (per_example == per_example[0]).all()
    same(DMI()(logits, torch.tensor([2, 0, 3, 1])[y]), per_example, rtol=1e-10)


def test_dmi_with_an_offset_is_the_authors_formula_up_to_the_size_of_the_batch() -> None:
    logits, y = batch(DMI(), "classification", 2.0)
    counted = F.one_hot(y, 4).double().T @ logits.softmax(1)  # the authors' matrix, 20 times ours
    official = -torch.log(torch.det(counted).abs() + 0.001)
    per_example = DMI(offset=0.001)(logits, y)
    same(per_example, (official + 4 * np.log(20)).expand(20), rtol=1e-10)


@pytest.mark.parametrize("offset", [0.0, 0.001])
def test_dmi_of_a_batch_without_some_class_is_that_of_the_others(offset) -> None:
    logits, kept = batch(DMI(), "classification", 2.0)[0], [0, 1, 3]
    here = torch.tensor(kept)[torch.arange(20) % 3]
    minor = literal.joint(logits.numpy(), here.numpy())[np.ix_(kept, kept)]
    per_example = DMI(offset=offset)(logits.requires_grad_(), here)
    same(per_example, [-np.log(abs(literal.determinant(minor)) + offset / 20**3)] * 20, rtol=1e-10)
    assert torch.autograd.grad(per_example[0], logits)[0].isfinite().all()


@pytest.mark.parametrize("offset", [0.0, 0.001])
def test_dmi_of_a_singular_matrix_is_finite_and_trains_nothing(offset) -> None:
    logits = torch.zeros(20, 4, requires_grad=True)
    per_example = DMI(offset=offset)(logits, torch.arange(20) % 4)
    assert per_example.isfinite().all()
    assert (torch.autograd.grad(per_example.mean(), logits)[0] == 0).all()


def test_margins_of_ldam_fall_with_the_fourth_root_of_the_count() -> None:
    margins = LDAM(margin=0.6).of_classes(torch.tensor([16, 1, 256, 81]))
    same(margins, [0.3, 0.6, 0.15, 0.2], rtol=1e-6)
    same(LDAM(margin=0.6).of_classes(torch.tensor([16, 256, 0])), [0.6, 0.3, 0.6], rtol=1e-6)
    cosines = torch.tensor([[0.1, -0.3, 0.7]])
    assert torch.equal(LDAM(scale=7.0).predicted(cosines), 7.0 * cosines)
    assert torch.equal(LogitAdjusted().predicted(cosines), cosines)


def test_logit_adjustment_with_tau_1_is_balanced_softmax() -> None:
    logits, y = batch(CrossEntropy(), "classification", 3.0)
    adjusted, balanced = LogitAdjusted(tau=1.0), BalancedSoftmax()
    per_example = adjusted(logits, y, adjusted.of_classes(COUNT))
    same(per_example, balanced(logits, y, balanced.of_classes(COUNT)), atol=1e-6)
    equal = torch.full((4,), 7)
    same(balanced(logits, y, balanced.of_classes(equal)), CrossEntropy()(logits, y), atol=1e-6)


@pytest.mark.parametrize("loss", [LogitAdjusted(), LogitAdjusted(tau=0.5), BalancedSoftmax()])
def test_a_class_without_examples_is_no_rival_and_makes_no_nan(loss) -> None:
    logits, y = batch(loss, "classification")
    y, of_classes = y % 3, loss.of_classes(torch.tensor([40, 16, 1, 0]))
    per_example = loss(logits.requires_grad_(), y, of_classes)
    same(per_example, loss(logits[:, :3], y, loss.of_classes(torch.tensor([40, 16, 1]))), atol=1e-6)
    assert torch.autograd.grad(per_example.sum(), logits)[0].isfinite().all()
    assert not loss(logits, torch.full_like(y, 3), of_classes).isnan().any()
    assert LogitAdjusted(tau=0.0).of_classes(torch.tensor([40, 16, 1, 0])).tolist() == [0.0] * 4


def test_the_defaults_are_the_papers() -> None:
    assert (Focal(), GCE(), LDAM()) == (Focal(gamma=2.0), GCE(q=0.7, truncation=0.0), LDAM(margin=0.5, scale=30.0))
    assert (SCE(), Poly1()) == (SCE(alpha=0.1, beta=1.0, log_zero=-4.0), Poly1(epsilon=2.0))
    assert (LogitAdjusted(), DMI(), CrossEntropy()) == (
        LogitAdjusted(tau=1.0),
        DMI(offset=0.0),
        CrossEntropy(smoothing=0.0),
    )


@pytest.mark.parametrize("cls", EACH)
def test_hyperparameters_that_are_no_finite_numbers_are_refused(cls) -> None:
    names = [field.name for field in dataclasses.fields(cls) if isinstance(field.default, float)]
    for name, value in itertools.product(names, (float("nan"), float("inf"), float("-inf"))):
        with refused(cls.place(name), value):
            cls(**{name: value})


@pytest.mark.parametrize(
    ("cls", "name", "values"),
    [
        (CrossEntropy, "smoothing", (-0.1, 1.0)),
        (Focal, "gamma", (-0.5,)),
        (GCE, "q", (-0.1, 1.1)),
        (GCE, "truncation", (-0.1, 1.0)),
        (SCE, "alpha", (-0.1,)),
        (SCE, "beta", (-0.1,)),
        (SCE, "log_zero", (0.0, 4.0)),
        (LDAM, "margin", (-0.1,)),
        (LDAM, "scale", (0.0, -30.0)),
        (DMI, "offset", (-0.001,)),
        (Poly1, "epsilon", (-1.1,)),
        (LogitAdjusted, "tau", (-1.0,)),
        (Huber, "delta", (0.0, -1.0)),
        (GaussianNLL, "floor", (0.0, -1.0)),
    ],
)
def test_hyperparameters_out_of_range_are_refused(cls, name, values) -> None:
    for value in values:
        with refused(cls.place(name), value):
            cls(**{name: value})


def test_symmetric_cross_entropy_of_nothing_and_dmi_of_few_examples_are_refused() -> None:
    with refused("sce.alpha", 0):
        SCE(alpha=0.0, beta=0.0)
    with refused("logits", [3, 4]):
        DMI()(torch.randn(3, 4), torch.tensor([0, 1, 2]))
    assert DMI().least_batch(10) == 10


@pytest.mark.parametrize(
    ("logits", "y", "which"),
    [
        pytest.param((4,), torch.tensor([0, 1, 2, 0]), "outputs", id="1-D"),
        pytest.param((3,), torch.tensor([0.2, 0.3, 0.5]), "outputs", id="1-D, soft"),
        pytest.param((4, 3, 2), torch.tensor([0, 1, 2, 0]), "outputs", id="3-D"),
        pytest.param((4, 3), torch.tensor([0, 1, 2]), "y", id="too few labels"),
        pytest.param((4, 3), torch.tensor(1), "y", id="one label"),
        pytest.param((4, 3), torch.tensor([0.0, 1.0, 2.0, 0.0]), "y", id="real labels"),
        pytest.param((4, 3), torch.full((4, 2), 0.5), "y", id="soft, other classes"),
        pytest.param((4, 3), torch.ones(4, 3, dtype=torch.long), "y", id="soft, whole numbers"),
    ],
)
@pytest.mark.parametrize("cls", OF_LOGITS)
def test_shapes_that_do_not_fit_logits_are_refused(cls, logits, y, which) -> None:
    y = y[1:] if "regression" in cls.supports and len(logits) == 1 else y  # they would be numbers
    with refused(which, list(logits) if which == "outputs" else list(y.shape)) as caught:
        cls()(torch.zeros(logits), y, cls().of_classes(torch.tensor([3, 2, 1]), torch.eye(3)))
    assert str(caught.value).startswith(f"{cls.__name__}: ")


@pytest.mark.parametrize("cls", OF_NUMBERS)
def test_shapes_that_do_not_fit_numbers_are_refused(cls) -> None:
    right = (4,) if cls.outputs == 1 else (4, cls.outputs)
    for outputs, y in [((3, *right[1:]), (4,)), ((4, 1), (4,)), ((4, 3), (4,)), (right, (4, 1)), (right, ())]:
        of_logits = cls is Auto and len(outputs) == 2
        with refused("y" if of_logits else "outputs", list(y if of_logits else outputs)):
            cls()(torch.zeros(outputs), torch.zeros(y))


@pytest.mark.parametrize("cls", OF_LOGITS)
def test_soft_labels_are_taken_or_refused(cls) -> None:
    given = torch.zeros(4, 4), torch.full((4, 4), 0.25), cls().of_classes(COUNT, TRANSITIONS)
    if cls is LogitAdjusted:
        hard = [cls()(given[0], torch.full((4,), c), given[2]) for c in range(4)]
        same(cls()(*given), sum(hard) / 4, rtol=1e-6)
        assert (
            cls()(given[0], torch.eye(4)[:2].repeat(2, 1), cls().of_classes(torch.tensor([3, 2, 0, 1])))
            .isfinite()
            .all()
        )
    elif cls.soft:
        same(cls()(*given), [np.log(4)] * 4, rtol=1e-6)
    else:
        with refused("y", [4, 4], rule="needs whole-number labels"):
            cls()(*given)


@pytest.mark.parametrize("cls", OF_LOGITS)
def test_a_loss_that_needs_the_classes_says_so(cls) -> None:
    if cls().of_classes(COUNT, TRANSITIONS) is None:
        assert cls()(torch.zeros(4, 4), torch.arange(4)).shape == (4,)
    else:
        with refused("of_classes", None):
            cls()(torch.zeros(4, 4), torch.arange(4))


def test_a_corrected_loss_is_cross_entropy_where_no_label_goes_wrong_and_needs_to_know() -> None:
    logits, y = batch(CrossEntropy(), "classification", 3.0)
    right = Corrected().of_classes(COUNT, torch.eye(4))
    same(Corrected()(logits, y, right), CrossEntropy()(logits, y), rtol=1e-10)
    with refused("loss", "corrected", rule="the estimate does not tell"):
        Corrected().of_classes(COUNT)


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_a_corrected_loss_makes_up_for_the_shares_of_the_true_classes_and_not_of_the_labels(tau) -> None:
    logits, y = batch(CrossEntropy(), "classification", 3.0)
    share = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    loss = Corrected(tau=tau)
    of_classes = loss.of_classes(share @ TRANSITIONS * 1e6, TRANSITIONS)
    expected = literal.corrected(logits.numpy(), y.numpy(), tau=tau, share=share.tolist())
    same(loss(logits, y, of_classes), expected, rtol=1e-4)


def test_auto_is_cross_entropy_of_logits_and_the_squared_error_of_numbers_to_the_bit() -> None:
    logits, y = batch(Auto(), "classification")
    assert torch.equal(Auto()(logits, y), CrossEntropy()(logits, y))
    outputs, y = batch(Auto(), "regression")
    assert torch.equal(Auto()(outputs, y), Squared()(outputs, y))
    assert Auto.supports == Squared.supports | CrossEntropy.supports


def test_huber_goes_from_the_absolute_to_the_squared_error() -> None:
    outputs, y = batch(Huber(), "regression", 2.0)
    torch.testing.assert_close(Huber(delta=100)(outputs, y), Squared()(outputs, y))
    same(Huber(delta=1e-6)(outputs, y) / 1e-6, Absolute()(outputs, y), atol=1e-5)
    assert Absolute()(y, y).tolist() == Huber()(y, y).tolist() == Squared()(y, y).tolist() == [0.0] * 20


@pytest.mark.parametrize("cls", EACH)
def test_every_loss_states_its_tasks_and_is_documented(cls) -> None:
    assert cls.supports
    assert cls.supports <= {"classification", "regression"}
    assert sys.modules[cls.__module__].__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}(")  # what a dataclass writes where nothing is written
    assert all(field.name in cls.__doc__ for field in dataclasses.fields(cls))


def test_every_file_is_a_loss() -> None:
    files = {path.stem.replace("_", "-") for path in Path(losses.__file__).parent.glob("*.py")}
    assert set(losses.discover()) == files - {"--init--", "base"}


def test_a_loss_with_a_parameter_is_written_and_read_back() -> None:
    method = make_method("har", {"loss": {"name": "huber", "delta": 0.5}})
    assert method == HAR(loss=Huber(delta=0.5))
    assert make_method("erm", {"loss": "huber"}) == ERM(loss=Huber())
    config = build_config({"source": "a.csv", "method": method_table(method)})
    assert '[method.loss]\nname = "huber"\ndelta = 0.5' in to_toml(config)
    settings = ["method.loss.name=huber", "method.loss.delta=0.5"]
    assert read(None, {"source": "a.csv"}, settings).method["loss"] == {"name": "huber", "delta": 0.5}
    for given, setting, value, rule in (
        ({"delta": 0.5}, "method.loss", ANY, "name it too, with method.loss.name=huber"),
        ({"name": "hubr"}, "loss", "hubr", "did you mean 'huber'?"),
        ({"name": "huber", "delat": 1.0}, "setting", "method.loss.delat", "did you mean 'method.loss.delta'?"),
        ({"name": "huber", "delta": "wide"}, "method.loss.delta", "wide", ""),
        (3, "method.loss", 3, ""),
    ):
        with refused(setting, value, rule=rule):
            make_method("erm", {"loss": given})
