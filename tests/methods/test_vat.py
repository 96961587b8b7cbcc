"""VAT: the direction and the divergence against their equations, what ξ does, around other methods."""

import numpy as np
import pytest
import torch
from torch import nn

from skedastic.methods.vat import VAT, adversarial, divergence, real, unit
from skedastic.settings.methods import make_method
from skedastic.training import train
from tests.reference.vat import kullback_leibler, softmax, vat_direction
from tests.support.methods import TRAINING, batch_of, dataset, make_net, observed, same, task, weights
from tests.support.refusals import refused


def test_the_direction_is_the_equations():
    torch.manual_seed(0)
    layer, x, d = nn.Linear(6, 4).double(), torch.randn(5, 6).double(), torch.randn(5, 6).double()
    r = adversarial(layer, x, layer(x).detach(), d, xi=0.3, epsilon=0.7, iterations=1)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    for i in range(5):
        expected = vat_direction(weight, bias, x[i].numpy(), d[i].numpy(), 0.3, 0.7)
        np.testing.assert_allclose(r[i].numpy(), expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(r.norm(dim=1), 0.7)


def test_the_divergence_is_kullback_and_leiblers_and_holds_the_first_fixed():
    torch.manual_seed(0)
    a, b = torch.randn(4, 3).double(), torch.randn(4, 3).double().requires_grad_()
    divergences = divergence(a, b)
    expected = [kullback_leibler(softmax(a[i].numpy()), softmax(b[i].detach().numpy())) for i in range(4)]
    np.testing.assert_allclose(divergences.detach().numpy(), expected)
    (gradient,) = torch.autograd.grad(divergences.sum(), b)
    torch.testing.assert_close(gradient, b.softmax(1) - a.softmax(1))
    torch.testing.assert_close(divergence(torch.tensor([1.0]), torch.tensor([4.0])), torch.tensor([4.5]))


def test_power_iterations_find_the_direction_that_moves_the_prediction_most():
    """Of a linear network, near r = 0, D is r' H r/2: the first eigenvector of H = W' (diag p − p p') W."""
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 4).double(), torch.randn(1, 6).double()
    p = layer(x).softmax(1)[0].detach()
    h = layer.weight.T @ (p.diag() - p[:, None] * p) @ layer.weight
    top = torch.linalg.eigh(h.detach()).eigenvectors[:, -1]
    r = adversarial(layer, x, layer(x).detach(), torch.randn(1, 6).double(), xi=1e-3, epsilon=1.0, iterations=50)
    assert abs(float(r[0] @ top)) == pytest.approx(1, abs=1e-3)


def test_the_authors_xi_is_lost_in_rounding():
    """In single precision: at ξ = 1e-6 the direction is noise, at 0.01 it is that of double precision."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    x, d = torch.randn(64, 20), torch.randn(64, 20)

    def direction(net, x, d, xi):
        return adversarial(net, x, net(x).detach(), d, xi=xi, epsilon=1.0, iterations=1).double()

    single = {xi: direction(net, x, d, xi) for xi in (1e-6, 1e-2)}
    exact = direction(net.double(), x.double(), d.double(), 1e-6)
    cosine = {xi: float((r * exact).sum(1).mean()) for xi, r in single.items()}
    assert cosine[1e-2] > 0.98
    assert cosine[1e-6] < 0.5


def test_in_half_precision_the_direction_is_that_of_single():
    """There ξ d moves nothing but rounding; a direction that is noise would give a divergence many times smaller."""
    torch.manual_seed(0)
    data, method = dataset(), VAT(epsilon=0.5)
    net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    state, batch = method.init(task(data), lambda: net), batch_of(data, slice(50))
    means = []
    for half in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            means.append(method.forward(state, batch).extra.divergence.detach().mean().item())
    random = unit(torch.randn(50, 6)) * 0.5
    by_chance = divergence(net(batch.x).detach(), net(batch.x + random)).mean().item()
    assert means[1] == pytest.approx(means[0], rel=0.1)
    assert by_chance < 0.7 * means[0]


def test_batch_statistics_move_once_and_by_the_clean_batch():
    data, states = dataset(), []
    for method in (VAT(epsilon=5.0), make_method("erm", {})):
        torch.manual_seed(0)
        state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
        observed(method, state, batch)
        states.append(state)
    assert same(weights(states[0]), weights(states[1]))


def test_the_objective_is_that_of_the_base_and_the_divergence():
    torch.manual_seed(0)
    data = dataset()
    method, plain = VAT(alpha=2.5, epsilon=0.5), make_method("erm", {})
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    torch.manual_seed(1)
    objective = method.objective(observed(method, state, batch))
    torch.manual_seed(1)
    alone = plain.objective(observed(plain, state, batch))
    extra = objective.logs["divergence"]
    assert extra.shape == (16,)
    assert (extra > 0).all()
    torch.testing.assert_close(objective.total, alone.total + 2.5 * extra.mean())


def test_dropout_is_the_same_in_all_forwards():
    """With nothing but dropout between x and its prediction, ε → 0 leaves no divergence."""
    data = dataset()
    method = VAT(epsilon=1e-3, xi=1e-3)
    state = method.init(task(data), lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))).train()
    assert float(method.forward(state, batch_of(data, slice(16))).extra.divergence.detach().max()) < 1e-5


def test_images_of_whole_numbers_are_moved_as_reals():
    torch.testing.assert_close(real(torch.tensor([0, 255, 51], dtype=torch.uint8)), torch.tensor([0, 1, 0.2]))
    with refused("method", "vat", rule="whole numbers, such as words"):
        real(torch.tensor([3, 4]))


@pytest.mark.parametrize(
    "text", ["vat(base=har(strength=0.5))", "sam(base=vat)", "mixup(base=vat)", "vat(base=absgd(lam=2))"]
)
def test_with_another_method_both_do_their_part(text):
    data = dataset()
    without = {"vat(base=har(strength=0.5))": "har(strength=0.5)", "vat(base=absgd(lam=2))": "absgd(lam=2)"}.get(
        text, text.replace("base=vat", "base=erm")
    )
    nets = [
        weights(train(make_method(name, {}), data, make_net, TRAINING, task=task(data)).state.net)
        for name in (text, without, "vat")
    ]
    assert not same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("vat(alpha=-1)", "method.alpha", -1),
        ("vat(epsilon=inf)", "method.epsilon", float("inf")),
        ("vat(xi=0)", "method.xi", 0),
        ("vat(iterations=0)", "method.iterations", 0),
    ],
)
def test_bad_settings_are_refused(text, setting, value):
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("vat(base=co-teaching)", "co-teaching", "chooses examples"),
        ("vat(base=mixup)", "mixup", "turn them round"),
        ("vat(base=vat)", "vat", "in vat twice"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason):
    with refused("method.base", base, rule=reason):
        make_method(text, {})
