"""L2RW and MW-Net: the lookahead against finite differences and against per-example gradients, and their needs."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from skedastic.core.lookahead import products, run_with, stepped
from skedastic.methods.bases.card import REFERENCE
from skedastic.methods.bases.learned_weights import Lookahead
from skedastic.methods.bases.step import Clock
from skedastic.methods.l2rw import L2RW, rectified
from skedastic.methods.mw_net import MWNet, ablated
from skedastic.settings.methods import make_method
from skedastic.training import PlainEngine, train
from skedastic.training.loop import make_task
from tests.support.lookahead import engine_of, in_double, looked_ahead, losses_of, smooth_net
from tests.support.methods import TRAINING, batch_of, dataset, reference, task
from tests.support.refusals import refused

CLOCK = Clock(0, 1, 0)


@pytest.fixture
def both():
    """A network, a training batch and a reference batch."""
    torch.manual_seed(0)
    net = smooth_net().train()
    data, trusted = dataset(), reference()
    return net, (data.x[:8].double(), data.y[:8]), (trusted.x.double(), trusted.y)


def test_the_lookahead_is_the_derivative_by_the_weights(both) -> None:
    net, batch, trusted = both
    v, rate, h = torch.linspace(0.1, 0.8, 8, dtype=torch.float64), 0.3, 1e-5
    parameters = dict(net.named_parameters())
    gradients = torch.autograd.grad(losses_of(net, *batch), list(parameters.values()), v)
    ahead = stepped(parameters, gradients, rate)
    loss = nn.functional.cross_entropy(run_with(net, ahead, trusted[0]), trusted[1])
    assert float(loss.detach()) == pytest.approx(float(looked_ahead(net, batch, trusted, v, rate).detach()), rel=1e-10)
    direction = torch.autograd.grad(loss, list(ahead.values()))
    predicted = -rate * products(lambda at: losses_of(partial(run_with, net, at), *batch), parameters, direction)
    for i in range(8):
        moved = [v.clone() for _ in range(2)]
        moved[0][i] += h
        moved[1][i] -= h
        up, down = (float(looked_ahead(net, batch, trusted, m, rate).detach()) for m in moved)
        assert float(predicted[i]) == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-9)


class NoForwardMode(torch.autograd.Function):
    """The identity, as a layer that has a backward pass and nothing else."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clone()


def test_without_forward_mode_the_products_are_the_same(both) -> None:
    net, (x, y), _ = both
    parameters = dict(net.named_parameters())
    direction = [torch.randn_like(p) for p in parameters.values()]

    def plain(at):
        return losses_of(partial(run_with, net, at), x, y)

    def without(at):
        return nn.functional.cross_entropy(NoForwardMode.apply(run_with(net, at, x)), y, reduction="none")

    expected = products(plain, parameters, direction)
    torch.testing.assert_close(products(without, parameters, direction), expected, rtol=1e-10, atol=1e-12)
    assert expected.abs().min() > 1e-3


@pytest.mark.parametrize("name", ["l2rw", "mw-net"])
def test_the_look_has_the_dropout_of_the_step(name) -> None:
    """Before the step's forward (L2RW) as after it (MW-Net), and whatever was drawn in between."""
    torch.manual_seed(3)
    method = make_method(name, {})
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3)).train()
    state, batch = method.init(task(dataset()), lambda: net), batch_of(dataset(), slice(8))
    seen = Lookahead(method, state, batch, CLOCK, None)
    parameters = list(net.parameters())
    direction = [torch.randn_like(p) for p in parameters]
    drawn = torch.get_rng_state()
    before = seen.products(direction)
    assert torch.equal(torch.get_rng_state(), drawn)
    of_each = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in seen.losses]
    torch.rand(5)
    drawn = torch.get_rng_state()
    after = seen.products(direction)
    assert torch.equal(torch.get_rng_state(), drawn)
    terms = [[(g * u).sum() for g, u in zip(of, direction, strict=True)] for of in of_each]
    expected = torch.stack([torch.stack(of).sum() for of in terms])
    torch.testing.assert_close(before, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(before, after)


def test_l2rw_weighs_by_the_agreement_of_gradients() -> None:
    data = dataset()
    method = L2RW()
    state = method.init(task(data), smooth_net).train()
    batch, trusted = in_double(batch_of(data, slice(8))), in_double(batch_of(reference(), slice(12)))
    parameters = list(state.net.parameters())
    of_each = [torch.autograd.grad(x, parameters, retain_graph=True) for x in losses_of(state.net, batch.x, batch.y)]
    toward = torch.autograd.grad(losses_of(state.net, trusted.x, trusted.y).mean(), parameters)
    u = np.array([sum(float((a * b).sum().detach()) for a, b in zip(g, toward, strict=True)) for g in of_each])
    expected = np.maximum(u, 0) / np.maximum(u, 0).sum()
    state = method.init(task(data), lambda: state.net)
    learned = method.learned(Lookahead(method, state, batch, CLOCK, engine_of(state, method, trusted)))
    np.testing.assert_allclose(learned.numpy() / 8, expected, rtol=1e-6, atol=1e-9)
    assert 0 < (expected > 0).sum() < 8


def test_where_no_gradient_agrees_nothing_is_learned() -> None:
    assert rectified(torch.tensor([-1.0, -2.0])).tolist() == [0, 0]
    assert rectified(torch.tensor([1.0, -2.0, 3.0, 0.0])).tolist() == [1, 0, 3, 0]


def test_mw_nets_step_is_the_derivative_of_the_reference_loss() -> None:
    """By finite differences in the parameters Θ of the network that weighs, through the whole lookahead."""
    data, rate = dataset(), 0.3
    method = MWNet(hidden=4)
    torch.manual_seed(1)
    state = method.init(task(data), smooth_net).double().train()
    batch, trusted = in_double(batch_of(data, slice(8))), in_double(batch_of(reference(), slice(12)))
    seen = losses_of(state.net, batch.x, batch.y).detach()

    def reference_loss():
        with torch.no_grad():
            v = state.weighter(seen) / 8
        return float(looked_ahead(state.net, (batch.x, batch.y), (trusted.x, trusted.y), v, rate).detach())

    expected = []
    for p in state.weighter.parameters():
        for k in range(p.numel()):
            values = []
            for h in (1e-5, -1e-5):
                with torch.no_grad():
                    p.view(-1)[k] += h
                values.append(reference_loss())
                with torch.no_grad():
                    p.view(-1)[k] -= h
            expected.append((values[0] - values[1]) / 2e-5)
    before = torch.cat([p.detach().view(-1).clone() for p in state.weighter.parameters()])
    engine = engine_of(state, method, trusted, rate)
    learned = method.learned(Lookahead(method, state, batch, CLOCK, engine))
    after = torch.cat([p.detach().view(-1) for p in state.weighter.parameters()])
    np.testing.assert_allclose(((before - after) / rate).numpy(), expected, rtol=2e-4, atol=1e-9)
    torch.testing.assert_close(learned, state.weighter(seen).detach())


@pytest.mark.parametrize("name", ["l2rw", "mw-net"])
def test_statistics_follow_the_training_batch_alone(name) -> None:
    """The reference's forward, at other weights, leaves BatchNorm's running statistics and its count as they were."""
    data, method = dataset(), make_method(name, {})
    state = method.init(task(data), lambda: smooth_net().float()).train()
    plain = smooth_net().float().train()
    plain.load_state_dict(state.net.state_dict())
    batch = batch_of(data, slice(8))
    plain(batch.x)
    method.step(state, batch, CLOCK, engine_of(state, method, batch_of(reference(), slice(12))))
    for ours, theirs in zip(state.net.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_mw_net_has_an_optimizer_of_its_own() -> None:
    """Adam at meta_lr, whatever the configured rate: after one step each weight of V has moved by about that."""
    data, moved = dataset(), []
    one_step = replace(TRAINING, epochs=1, batch_size=50, lr=1e-6)
    for meta_lr in (1e-4, 1e-2):
        method = MWNet(meta_lr=meta_lr)
        torch.manual_seed(0)
        begun = method.init(task(data), smooth_float).weighter.parameters()
        trained = train(method, data, smooth_float, one_step, task=task(data), reference=reference())
        ended = trained.state.weighter.parameters()
        moved.append(max(float((p - q).detach().abs().max()) for p, q in zip(ended, begun, strict=True)))
    assert moved == pytest.approx([1e-4, 1e-2], rel=0.05)


def smooth_float():
    return smooth_net().float()


@pytest.mark.parametrize("name", ["l2rw", "mw-net"])
def test_there_must_be_a_reference_set(name) -> None:
    method = make_method(name, {})
    with refused("reference", rule="learns from a reference set") as caught:
        train(method, dataset(), smooth_float, TRAINING, task=make_task(dataset()))
    assert str(caught.value).startswith(f"{name} ")
    assert REFERENCE in method.capabilities.needs


@pytest.mark.parametrize(
    ("name", "size"),
    [("l2rw", 16), ("mw-net", 4), ("l2rw(reference_batch=0.5)", 8), ("mw-net(reference_batch=0.01)", 2)],
)
def test_reference_batches_are_as_large_as_asked(monkeypatch: pytest.MonkeyPatch, name, size) -> None:
    sizes, draw = [], PlainEngine.draw

    def noted(engine, stream):
        drawn = draw(engine, stream)
        sizes.append(len(drawn.y))
        return drawn

    monkeypatch.setattr(PlainEngine, "draw", noted)
    data, trusted = dataset(), dataset().subset(torch.arange(32))
    train(
        make_method(name, {}), data, smooth_float, replace(TRAINING, batch_size=16), task=task(data), reference=trusted
    )
    assert set(sizes) == {size}
    assert make_method(f"cutout(base={name})", {}).batch_shares() == make_method(name, {}).batch_shares()


@pytest.mark.parametrize("share", [0, 1.5, float("nan"), -0.25])
@pytest.mark.parametrize("name", ["l2rw", "mw-net", "meta-cb"])
def test_a_reference_batch_is_a_share(name, share) -> None:
    with refused("method.reference_batch", pytest.approx(share, nan_ok=True)):
        make_method(name, {"reference_batch": share})


@pytest.mark.parametrize(("setting", "value"), [("hidden", 0), ("meta_lr", 0.0), ("meta_weight_decay", -1.0)])
def test_bad_settings_are_refused(setting, value) -> None:
    with refused(f"method.{setting}", value):
        make_method("mw-net", {setting: value})


def test_fused_attention_is_no_obstacle() -> None:
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 12), nn.Linear(4, 3)

        def forward(self, x):
            q, k, v = self.first(x).unsqueeze(1).chunk(3, -1)  # [B, 1, T, 4]
            return self.last(nn.functional.scaled_dot_product_attention(q, k, v).squeeze(1).mean(1))

    torch.manual_seed(0)
    net, x, y = Attending(), torch.randn(5, 6, 4), torch.arange(5) % 3

    def losses(parameters):
        return nn.functional.cross_entropy(run_with(net, parameters, x), y, reduction="none")

    parameters = dict(net.named_parameters())
    direction = [torch.randn_like(p) for p in parameters.values()]
    expected = []
    for i in range(5):
        gradients = torch.autograd.grad(losses(parameters)[i], list(parameters.values()))
        expected.append(sum((g * d).sum() for g, d in zip(gradients, direction, strict=True)))
    torch.testing.assert_close(products(losses, parameters, direction), torch.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["learned", "random", "inverse"])
def test_mw_nets_ablations_keep_the_mean_of_the_weights(kind) -> None:
    """HAR's appendix C.4: drawn uniformly with the same mean, or inverted and normalized."""
    torch.manual_seed(0)
    weights = torch.rand(4000) + 0.1
    other = ablated(weights, kind)
    assert float(other.mean()) == pytest.approx(float(weights.mean()), rel=1e-5)
    correlation = float(torch.corrcoef(torch.stack([weights, other]))[0, 1])
    assert correlation == pytest.approx({"learned": 1.0, "random": 0.0, "inverse": correlation}[kind], abs=0.05)
    if kind == "inverse":
        torch.testing.assert_close(other * weights, (other * weights).mean().expand(4000))
    assert other.min() >= 0
    assert kind != "random" or other.max() <= 2.1 * weights.mean()
