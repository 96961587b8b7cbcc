"""ASAM and AMP: against their equations, around other methods, and on bad input."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skedastic.methods.amp import AMP, ascended
from skedastic.methods.asam import ASAM, adaptive_climb, are_biases, extents
from skedastic.methods.sam import SAM, climb
from skedastic.settings.methods import make_method
from skedastic.training import train
from tests.reference import perturbing as reference
from tests.support.methods import TRAINING, batch_of, dataset, make_net, same, start, task, weights
from tests.support.refusals import refused
from tests.support.wrappers import plain_net, step_of

RATE = 0.1


def stepped(method):
    """Take a step; return the gradient by which it went, the gradient as a function, the weights, who are biases."""
    torch.manual_seed(0)
    data = dataset()
    state, batch = method.init(task(data), plain_net), batch_of(data, slice(16))
    net = plain_net().double()
    net.load_state_dict(state.net.state_dict())
    names = [name for name, p in net.named_parameters() for _ in range(p.numel())]

    def gradient(at):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(at), net.parameters())
        net.zero_grad()
        F.cross_entropy(net(batch.x.double()), batch.y).backward()
        return torch.cat([p.grad.view(-1) for p in net.parameters()]).numpy()

    before = torch.nn.utils.parameters_to_vector(state.net.parameters()).detach().double().numpy()
    step_of(method, state, batch, RATE)
    after = torch.nn.utils.parameters_to_vector(state.net.parameters()).detach().double().numpy()
    return (before - after) / RATE, gradient, before, [name.endswith("bias") for name in names]


@pytest.mark.parametrize(("rho", "eta"), [(0.5, 0.01), (2.0, 0.5), (0.1, 0.0)])
def test_asam_is_its_algorithm(rho, eta) -> None:
    shift, gradient, w, bias = stepped(ASAM(rho=rho, eta=eta))
    expected = reference.asam(w, gradient, bias, rho, eta)
    np.testing.assert_allclose(shift, expected, rtol=1e-3, atol=3e-6)
    others = (reference.asam(w, gradient, [False] * len(w), rho, eta), gradient(w))
    assert all(abs(shift - other).max() > 1e-4 for other in others)


@pytest.mark.parametrize(
    ("epsilon", "zeta", "steps"), [(0.5, 1.0, 1), (0.5, 1.0, 3), (0.2, 0.5, 2), (100.0, 1.0, 1), (100.0, 0.7, 4)]
)
def test_amp_is_its_algorithm(epsilon, zeta, steps) -> None:
    shift, gradient, w, _ = stepped(AMP(epsilon=epsilon, inner_lr=zeta, inner_iter=steps))
    expected = reference.amp(w, gradient, epsilon, zeta, steps)
    np.testing.assert_allclose(shift, expected, rtol=1e-3, atol=3e-6)
    assert abs(shift - reference.amp(w, gradient, epsilon, zeta, steps + 1)).max() > 1e-4 or epsilon < 1


def test_amp_in_a_small_ball_is_sam_and_asam_of_weights_that_are_alike_too() -> None:
    """One step of ascent that leaves the ball ends where SAM does; T = c turns ASAM's ρ into SAM's ρ c."""
    shift, of_sam = (stepped(method)[0] for method in (AMP(epsilon=0.05), SAM(rho=0.05)))
    np.testing.assert_allclose(shift, of_sam, rtol=1e-3, atol=3e-6)
    g = [torch.randn(3, 4), torch.randn(5)]
    for ours, sams in zip(adaptive_climb(g, [torch.full_like(t, 0.3) for t in g], 0.5), climb(g, 0.15), strict=True):
        torch.testing.assert_close(ours, sams)


def test_the_ball_is_around_all_parameters_together() -> None:
    shifts = ascended([torch.zeros(2), torch.zeros(1)], [torch.tensor([3.0, 0.0]), torch.tensor([4.0])], 1.0, 2.5)
    assert [s.tolist() for s in shifts] == [[1.5, 0.0], [2.0]]
    inside = ascended([torch.zeros(2)], [torch.tensor([0.3, 0.4])], 1.0, 2.5)[0]
    assert torch.equal(inside, torch.tensor([0.3, 0.4])), "what is in the ball is left alone"


def test_asam_does_not_see_how_weights_are_scaled_when_the_network_is_the_same() -> None:
    """Of relu(w1 x) w2 with w1 times a and w2 over a, the shifted losses are equal; SAM's are not."""
    torch.manual_seed(1)
    x, y = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    first, second = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, dtype=torch.float64)

    def shifted(scale, rule):
        w = [(first * scale).requires_grad_(), (second / scale).requires_grad_()]

        def loss(a, b):
            return (torch.relu(x @ a.T) @ b - y).square().mean()

        shifts = rule(torch.autograd.grad(loss(*w), w), w)
        return loss(*(p + s for p, s in zip(w, shifts, strict=True))).item()

    def asam(g, w):
        return adaptive_climb(g, extents(w, [False, False], 0.0), 0.5)

    assert shifted(1.0, asam) == pytest.approx(shifted(7.0, asam), rel=1e-5)
    assert shifted(1.0, lambda g, w: climb(g, 0.5)) != pytest.approx(shifted(7.0, lambda g, w: climb(g, 0.5)), rel=0.1)


def test_biases_are_told_by_their_own_names() -> None:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weighter = nn.Linear(2, 2)
            self.rnn = nn.LSTM(2, 2)
            self.norm = nn.BatchNorm1d(2)
            self.attention = nn.MultiheadAttention(2, 1)
            self.factor = nn.Parameter(torch.ones(3))

    net = Net()
    names, parameters = zip(*net.named_parameters(), strict=True)
    biases = {name for name, bias in zip(names, are_biases(net, parameters), strict=True) if bias}
    assert biases == {
        "weighter.bias",
        "rnn.bias_ih_l0",
        "rnn.bias_hh_l0",
        "norm.bias",
        "attention.in_proj_bias",
        "attention.out_proj.bias",
    }


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", ["asam(rho={})", "amp(epsilon={})", "amp(inner_iter=3, epsilon={})"])
def test_around_har_it_penalizes_at_the_shifted_weights(wrapper) -> None:
    """Around HAR with strength 0 it is itself, with some neither itself nor HAR, and with no shift HAR."""
    data, around = dataset(), f"{wrapper[:-1]}, base={{}})"
    some = 0.3
    methods = {
        "erm": wrapper.format(some),
        "har0": around.format(some, "har(strength=0)"),
        "har": around.format(some, "har"),
        "still": around.format(0, "har"),
        "bare": "har",
    }
    nets = {
        key: weights(train(make_method(text, {}), data, make_net, TRAINING, task=task(data)).state.net)
        for key, text in methods.items()
    }
    assert same(nets["erm"], nets["har0"])
    assert same(nets["still"], nets["bare"])
    assert not any(same(nets["har"], nets[other]) for other in ("erm", "bare"))


@pytest.mark.parametrize(
    "method", ["amp(base=absgd)", "asam(base=absgd)", "mixup(base=asam(base=absgd))", "mixup(base=amp(inner_iter=2))"]
)
def test_in_and_around_others(method) -> None:
    data = dataset()
    trained = train(make_method(method, {}), data, make_net, TRAINING, task=task(data))
    assert all(p.isfinite().all() for p in trained.state.parameters())
    assert not same(weights(trained.state), weights(train(make_method("erm", {}), data, make_net, TRAINING).state))


@pytest.mark.parametrize("method", [ASAM(), AMP(inner_iter=3)])
def test_weights_with_no_gradient_or_frozen_are_left_alone(method) -> None:
    state, batch = start(method)
    for p in state.net[0].parameters():
        p.requires_grad_(False)
    before = weights(state.net[0])
    step_of(method, state, batch)
    assert same(weights(state.net[0]), before)
    assert all(p.isfinite().all() for p in state.parameters())


def test_a_gradient_of_zero_shifts_nothing() -> None:
    zero, one = [torch.zeros(3)], [torch.ones(3)]
    assert torch.equal(adaptive_climb(zero, one, 0.5)[0], zero[0])
    assert torch.equal(ascended(zero, zero, 1.0, 0.5)[0], zero[0])


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("asam(rho=-1)", "method.rho", -1),
        ("asam(rho=inf)", "method.rho", float("inf")),
        ("asam(eta=-0.1)", "method.eta", -0.1),
        ("amp(epsilon=-0.5)", "method.epsilon", -0.5),
        ("amp(epsilon=inf)", "method.epsilon", float("inf")),
        ("amp(inner_lr=-1)", "method.inner_lr", -1),
        ("amp(inner_iter=0)", "method.inner_iter", 0),
        ("amp(inner_iter=1.5)", "method.inner_iter", 1.5),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("asam(base=sam)", "sam", "at other weights itself"),
        ("sam(base=asam)", "asam", "at other weights itself"),
        ("amp(base=asam)", "asam", "at other weights itself"),
        ("asam(base=amp)", "amp", "at other weights itself"),
        ("asam(base=asam)", "asam", "in asam twice"),
        ("amp(base=mixup(base=amp))", "mixup", "in amp twice"),
        ("amp(base=mixup)", "mixup", "turn them round"),
        ("asam(base=l2rw)", "l2rw", "takes gradients"),
        ("amp(base=co-teaching)", "co-teaching", "chooses examples"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason) -> None:
    with refused("method.base", base, rule=reason):
        make_method(text, {})


def test_a_misspelled_setting_gets_the_nearest() -> None:
    with refused("setting", "method.roh", rule="did you mean 'method.rho'?"):
        make_method("asam(roh=0.5)", {})
