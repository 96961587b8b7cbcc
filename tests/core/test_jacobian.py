"""The Jacobian penalty against its literal form, its limits, and the authors' own figures."""

import copy
import itertools
import json

import pytest
import torch
from torch import Tensor, nn

from skedastic.core import JacobianPenalty, regularized_loss
from skedastic.core.jacobian import cross_entropy
from skedastic.models import make
from tests.reference import jacobian as literal
from tests.reference.filled import fill, images
from tests.support.paths import FIXTURES
from tests.support.refusals import refused

GRADIENTS = ("implicit", "exact", "finite")


def network(activation: type[nn.Module] = nn.Softplus, *, seed: int = 0, norm: bool = True) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for d_in, d_out in ((5, 7), (7, 6)):
        layers += [nn.Linear(d_in, d_out), *([nn.BatchNorm1d(d_out)] if norm else []), activation()]
    return nn.Sequential(*layers, nn.Linear(6, 4)).double()


def data(n: int = 9, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=g, dtype=torch.float64)
    return x, torch.randint(0, 4, (n,), generator=g), torch.rand(n, generator=g, dtype=torch.float64)


def gradient(net: nn.Module, total: Tensor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, list(net.parameters()))])


@pytest.mark.parametrize("norm", ["joint", "layers"])
def test_exact_equals_the_literal_objective_and_its_gradient(norm) -> None:
    net, (x, y, strength) = network(), data()
    ours = regularized_loss(net, x, y, strength, penalty=JacobianPenalty(gradient="exact", norm=norm))
    reference = literal.objective(net, nn.BatchNorm1d, x, y, strength, norm)
    torch.testing.assert_close(ours.total, reference, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        ours.norm, literal.norms(net, nn.BatchNorm1d, x, y, norm).detach(), rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(gradient(net, ours.total), gradient(net, reference), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("affine", ["after", "before"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_exact_passes_gradcheck_and_gradgradcheck(joint, affine, batch_norm) -> None:
    net, (x, y, strength) = network(norm=batch_norm), data(5)
    norm = "joint" if joint else "layers"
    names = [name for name, _ in net.named_parameters()]

    def total(*parameters: Tensor) -> Tensor:
        moved = copy.deepcopy(net)
        for name, value in zip(names, parameters, strict=True):
            owner, _, leaf = name.rpartition(".")
            module = moved.get_submodule(owner)
            del module._parameters[leaf]
            setattr(module, leaf, value)
        penalty = JacobianPenalty(gradient="exact", norm=norm, affine=affine)
        return regularized_loss(moved, x, y, strength, penalty=penalty).total

    parameters = tuple(p.detach().clone().requires_grad_() for p in net.parameters())
    assert torch.autograd.gradcheck(total, parameters, fast_mode=True)
    if not batch_norm:  # torch's double backward of BatchNorm, right itself, has no right derivative
        assert torch.autograd.gradgradcheck(total, parameters, fast_mode=True)


@pytest.mark.parametrize("norm", ["joint", "layers"])
@pytest.mark.parametrize("affine", ["after", "before"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_implicit_and_finite_converge_to_exact_as_their_step_shrinks(norm, affine, reduction) -> None:
    net, (x, y, strength) = network(), data()
    options = {"norm": norm, "affine": affine, "reduction": reduction}

    def grad(kind: str, scale: float = 1.0, step: float = 0.01) -> Tensor:
        penalty = JacobianPenalty(gradient=kind, step=step, **options)
        return gradient(net, regularized_loss(net, x, y, scale * strength, penalty=penalty).total)

    plain = grad("exact", 0.0)
    exact = grad("exact") - plain
    errors: dict[str, list[float]] = {"finite": [], "implicit": []}
    for step in (1e-1, 1e-2, 1e-3, 1e-4):
        errors["finite"].append(float((grad("finite", step=step) - plain - exact).norm() / exact.norm()))
        errors["implicit"].append(float(((grad("implicit", scale=step) - plain) / step - exact).norm() / exact.norm()))
    for kind, error in errors.items():
        assert error[-1] < 1e-3, (kind, error)
        ratios = [a / b for a, b in itertools.pairwise(error)]  # first order: ten times smaller each time
        assert all(7 < r < 13 for r in ratios[1:]), (kind, error)


def test_implicit_is_finite_at_step_one() -> None:
    net, (x, y, strength) = network(), data()
    implicit = regularized_loss(net, x, y, strength, penalty=JacobianPenalty(gradient="implicit")).total
    finite = regularized_loss(net, x, y, strength, penalty=JacobianPenalty(gradient="finite", step=1.0)).total
    torch.testing.assert_close(gradient(net, implicit), gradient(net, finite), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", GRADIENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_strength_is_plain_training_to_the_bit(kind, dtype) -> None:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(16, 4))
    net, plain = net.to(dtype), copy.deepcopy(net).to(dtype)
    x, y, _ = data(12)
    x = x.to(dtype)
    torch.manual_seed(4)
    expected = gradient(plain, cross_entropy(plain(x), y).mean())
    state = torch.get_rng_state()
    torch.manual_seed(4)
    total = regularized_loss(net, x, y, 0.0, penalty=JacobianPenalty(gradient=kind)).total
    assert torch.equal(gradient(net, total), expected)
    assert torch.equal(torch.get_rng_state(), state)
    for ours, theirs in zip(net.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_norm_does_not_depend_on_the_batch_size_and_the_mean_reduction_does() -> None:
    net = network(norm=False)
    x, y, _ = data(8)
    joint = regularized_loss(net, x, y, 0.1).norm
    alone = torch.cat([regularized_loss(net, x[i : i + 1], y[i : i + 1], 0.1).norm for i in range(8)])
    torch.testing.assert_close(joint, alone, rtol=1e-10, atol=0)
    mean = regularized_loss(net, x, y, 0.1, penalty=JacobianPenalty(reduction="mean")).norm
    torch.testing.assert_close(mean, joint / 8, rtol=1e-12, atol=0)


def test_before_the_affine_part_is_the_gradient_of_the_normalized_activations() -> None:
    net, (x, y, _) = network(), data()
    bn1, bn2 = net[1], net[4]
    with torch.no_grad():
        bn1.weight.uniform_(0.5, 2)
        bn2.weight.uniform_(0.5, 2)

    def normalized(h: Tensor) -> Tensor:
        return (h - h.mean(0)) / (h.var(0, unbiased=False) + bn1.eps).sqrt()

    h1 = normalized(net[0](x))
    h2 = normalized(net[3](net[2](bn1.weight * h1 + bn1.bias)))
    loss = literal.losses(net[6](net[5](bn2.weight * h2 + bn2.bias)), y).sum()
    j1, j2 = torch.autograd.grad(loss, [h1, h2])
    expected = (j1.square().sum(1) + j2.square().sum(1)).sqrt()
    ours = regularized_loss(net, x, y, 0.1, penalty=JacobianPenalty(affine="before")).norm
    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-12)


def test_the_authors_options_give_the_authors_figures() -> None:
    """tests/fixtures: their formula on their ResNet-32 with the same weights and images, run once."""
    fixture = json.loads((FIXTURES / "har_authors_resnet32.json").read_text())
    net = make("resnet32", (3, 32, 32), 10).double()
    fill(net)
    x, y = images(8)
    weights = torch.linspace(0, 1, 8, dtype=torch.float64)
    authors = JacobianPenalty(gradient="exact", norm="layers", affine="before", reduction="mean")
    result = regularized_loss(net, x, y, 10.0 * weights, penalty=authors, taps=["layer*.bn?"])  # not the first, bn1
    expected = torch.tensor(fixture["norms"], dtype=torch.float64)
    torch.testing.assert_close(result.norm, expected, rtol=1e-8, atol=0)
    assert result.total.item() == pytest.approx(fixture["total"], rel=1e-9)
    result.total.backward()
    parameters = dict(net.named_parameters())
    for name, norm in fixture["gradient_norms"].items():
        assert parameters[name].grad.norm().item() == pytest.approx(norm, rel=1e-8)


def test_an_example_that_is_fitted_perfectly_moves_nothing_and_gives_no_nan() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        net[3].weight.zero_()
        net[3].bias.copy_(torch.tensor([200.0, -200.0]))
    x, y = torch.randn(6, 3), torch.zeros(6, dtype=torch.int64)
    for kind in GRADIENTS:
        result = regularized_loss(net, x, y, 1.0, penalty=JacobianPenalty(gradient=kind))
        assert torch.isfinite(gradient(net, result.total)).all()
        assert torch.equal(result.norm, torch.zeros(6))


@pytest.mark.parametrize("kind", ["implicit", "finite"])
def test_more_strength_moves_the_loss_up_along_the_jacobian(kind) -> None:
    net, (x, y, _) = network(), data()
    plain = cross_entropy(net(x), y).mean().item()
    result = regularized_loss(net, x, y, 0.01, penalty=JacobianPenalty(gradient=kind))
    assert result.total.item() == pytest.approx(plain + 0.01 * result.norm.mean().item(), rel=1e-3)
    assert result.total.item() > plain


def test_bad_strength_is_refused() -> None:
    net, (x, y, _) = network(), data()
    for value in (-0.125, float("nan")):
        with refused("strength", pytest.approx(value, nan_ok=True)):
            regularized_loss(net, x, y, value)
    for value in (-1.0, float("nan"), float("inf")):
        strength = torch.full((len(y),), 0.1, dtype=x.dtype)
        strength[1] = value
        with refused("strength", pytest.approx(value, nan_ok=True)):
            regularized_loss(net, x, y, strength)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("gradient", "implict"),
        ("norm", "sum"),
        ("affine", "both"),
        ("reduction", "none"),
        ("selection", "random"),
        ("step", -1.0),
        ("step", float("inf")),
        ("step", float("nan")),
    ],
)
def test_a_penalty_of_no_kind_is_refused(setting, value) -> None:
    with refused(setting, value):
        JacobianPenalty(**{setting: value})
