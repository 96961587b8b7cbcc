"""ELR+: its losses, targets and EMAs against the literal version, its memory, and bad input."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skedastic.core.ema import ema_copy, ramp_up, update_ema
from skedastic.methods.bases.step import Clock, Step
from skedastic.methods.elr_plus import ELRPlus
from skedastic.settings.methods import make_method
from tests.reference import elr_plus as literal
from tests.support.methods import CLOCK, batch_of, dataset, engine_for, make_net, task
from tests.support.refusals import refused
from tests.support.wrappers import plain_net


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_objective_and_the_targets_are_the_definition(alpha) -> None:
    torch.manual_seed(0)
    method, data = ELRPlus(lam=2.0, beta=0.6, alpha=alpha), dataset()
    state, batch = method.init(task(data), plain_net).train(), batch_of(data, slice(12))
    for average_net in (state.net_average, state.other_average):
        for p in average_net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    old = [torch.rand(12, 3).softmax(1) for _ in range(2)]
    for memory, values in zip(state.targets, old, strict=True):
        memory.put(batch.index, values)
    out = method.forward(state, batch)
    with torch.no_grad():
        method.observe(Step(state, batch, out, CLOCK))
    labels, expected = F.one_hot(batch.y, 3).double().numpy(), 0.0
    for i, peer in ((0, state.other_average), (1, state.net_average)):
        mixed = out.extra[i]
        seen = peer(batch.x).detach().double().numpy()
        targets = np.array([literal.moved(old[i][j].double().numpy(), seen[j], 0.6) for j in range(12)])
        np.testing.assert_allclose(state.targets[i].of(batch.index).numpy(), targets, rtol=1e-5)
        share = float(mixed.share)
        assert share == 1 if alpha == 0 else 0.5 <= share < 1
        inputs = share * batch.x + (1 - share) * batch.x[mixed.partner]
        logits = (state.net, state.other)[i](inputs).detach().double().numpy()
        expected += literal.loss(logits, labels, targets, mixed.partner.tolist(), share, 2.0)
    objective = method.objective(Step(state, batch, out, CLOCK))
    assert float(objective.total.detach()) == pytest.approx(expected, rel=1e-5)
    if alpha:
        assert not torch.equal(out.extra[0].partner, out.extra[1].partner), "each network has mixtures of its own"


def test_lambda_rises_where_it_is_asked_to() -> None:
    torch.manual_seed(0)
    method, data = ELRPlus(lam_ramp=4.0, alpha=0.0), dataset()
    state, batch = method.init(task(data), plain_net).train(), batch_of(data, slice(12))
    out = method.forward(state, batch)
    with torch.no_grad():
        method.observe(Step(state, batch, out, CLOCK))
    plain = sum(float(mixed.losses.detach().mean()) for mixed in out.extra)
    terms = [
        float(method.objective(Step(state, batch, out, Clock(e, 10, 0))).total.detach()) - plain for e in (0, 2, 4, 9)
    ]
    assert terms[0] / terms[2] == pytest.approx(literal.ramp(0, 4), rel=1e-3)
    assert terms[1] / terms[2] == pytest.approx(literal.ramp(2, 4), rel=1e-4)
    assert terms[3] == pytest.approx(terms[2], rel=1e-5)


@pytest.mark.parametrize(("epoch", "decay"), [(0, 0.9 * np.exp(-5)), (5, 0.9), (9, 0.9)])
def test_a_step_moves_the_averages_and_trains_only_the_networks(epoch, decay) -> None:
    torch.manual_seed(0)
    method, data = ELRPlus(decay=0.9), dataset()
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    before = [[p.clone() for p in net.parameters()] for net in (state.net_average, state.other_average)]
    method.step(state, batch, Clock(epoch, 10, 0), engine_for(method, state))
    for old, mean, net in zip(before, (state.net_average, state.other_average), (state.net, state.other), strict=True):
        for a, b, c in zip(old, mean.parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(b, (decay * a + (1 - decay) * c.detach()).to(b), rtol=1e-4, atol=1e-6)
            assert not b.requires_grad
    assert len(method.param_groups(state)["main"]) == 2 * len(list(state.net.parameters()))


def test_the_average_has_batch_statistics_of_its_own() -> None:
    torch.manual_seed(0)
    method, data = ELRPlus(decay=0.0, ramp=0.0, alpha=0.0), dataset()
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    method.forward(state, batch)
    torch.testing.assert_close(state.net_average[1].running_mean, state.net[1].running_mean)
    assert state.net_average[1].num_batches_tracked == 1


def test_it_predicts_by_one_network_and_the_others_average() -> None:
    torch.manual_seed(0)
    method, data = ELRPlus(), dataset()
    state = method.init(task(data), plain_net).eval()
    for p in state.other_average.parameters():
        p.add_(torch.randn_like(p))
    expected = (state.net(data.x) + state.other_average(data.x)) / 2
    torch.testing.assert_close(method.predict(state, data.x), expected)


def test_a_frozen_body_is_shared_and_not_touched() -> None:
    net = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    mean = ema_copy(net)
    assert mean[0].weight is net[0].weight
    assert mean[1].weight is not net[1].weight
    versions = [p._version for p in net.parameters()]
    before = mean[1].weight.clone()
    with torch.no_grad():
        net[1].weight.add_(1)
    update_ema(mean, net, 0.75)
    assert [p._version for p in net.parameters()] == [versions[0], versions[1], versions[2] + 1, versions[3]]
    torch.testing.assert_close(mean[1].weight, before + 0.25)
    assert not any(p.requires_grad for p in mean.parameters())


def test_averages_and_ramps() -> None:
    net = nn.Linear(2, 2)
    mean = ema_copy(net)
    with torch.no_grad():
        net.weight.add_(1)
    update_ema(mean, net, 0.75)
    torch.testing.assert_close(mean.weight, net.weight.detach() - 0.75)
    assert [ramp_up(at, 4) for at in (0, 2, 4, 5)] == pytest.approx([literal.ramp(at, 4) for at in (0, 2, 4, 5)])
    assert ramp_up(0, 0) == 1


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("elr-plus(lam=-1)", "method.lam", -1),
        ("elr-plus(beta=1)", "method.beta", 1),
        ("elr-plus(decay=1)", "method.decay", 1),
        ("elr-plus(alpha=-1)", "method.alpha", -1),
        ("elr-plus(ramp=inf)", "method.ramp", float("inf")),
        ("elr-plus(top_k=0)", "method.top_k", 0),
        ("elr-plus(loss=gce)", "method.loss", "gce"),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("mixup(base=elr-plus)", "elr-plus", "it mixes examples itself"),
        ("sam(base=elr-plus)", "elr-plus", "moves EMAs of the weights"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason) -> None:
    with refused("method.base", base, rule=reason):
        make_method(text, {})
