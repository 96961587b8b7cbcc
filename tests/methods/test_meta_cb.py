"""Meta class-balanced: the correction against finite differences, plain training before, what it needs."""

import numpy as np
import pytest
import torch

from skedastic.core.class_weights import EffectiveNumber
from skedastic.methods.bases.card import REFERENCE
from skedastic.methods.bases.learned_weights import Lookahead
from skedastic.methods.bases.step import Clock
from skedastic.methods.meta_cb import MetaCB
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.loop import make_task
from tests.support.lookahead import engine_of, in_double, looked_ahead, losses_of, smooth_net
from tests.support.methods import CLOCK, TRAINING, batch_of, dataset, make_net, reference, same, task, weights
from tests.support.refusals import refused


def test_the_correction_is_the_derivative_of_the_reference_loss():
    """ε_i = −τ ∂L(ŵ)/∂ε_i, by finite differences through the whole lookahead."""
    data, rate, tau, h = dataset(29), 0.3, 5.0, 1e-5
    method = MetaCB(class_weights=EffectiveNumber(beta=0.9), meta_lr=tau)
    torch.manual_seed(0)
    state = method.init(task(data), smooth_net).double().train()
    batch, trusted = in_double(batch_of(data, slice(8))), in_double(batch_of(reference(), slice(12)))
    corrections = method.learned(Lookahead(method, state, batch, CLOCK, engine_of(state, method, trusted, rate)))
    w = state.class_weight[batch.y]

    def reference_loss(epsilon):
        v = (w + epsilon) / 8
        return float(looked_ahead(state.net, (batch.x, batch.y), (trusted.x, trusted.y), v, rate).detach())

    for i in range(8):
        step = torch.zeros(8, dtype=torch.float64)
        step[i] = h
        expected = -tau * (reference_loss(step) - reference_loss(-step)) / (2 * h)
        assert float(corrections[i] * w[i] - w[i]) == pytest.approx(expected, rel=1e-4, abs=1e-9)
    assert float(corrections.min()) >= 0
    assert float(corrections.max() - corrections.min()) > 1e-3


def test_weights_below_nothing_are_nothing():
    data = dataset(29)
    method = MetaCB(class_weights=EffectiveNumber(beta=0.9), meta_lr=1e6)
    torch.manual_seed(0)
    state = method.init(task(data), smooth_net).double().train()
    batch, trusted = in_double(batch_of(data, slice(8))), in_double(batch_of(reference(), slice(12)))
    corrections = method.learned(Lookahead(method, state, batch, CLOCK, engine_of(state, method, trusted, 0.3)))
    assert float(corrections.min()) == 0
    assert float(corrections.max()) > 1


def test_until_the_weights_begin_it_is_plain_training_and_draws_no_reference():
    data = dataset()
    method = make_method("meta-cb(class_weights=deferred(effective-number,start=2))", {})
    state = method.init(task(data), smooth_net)
    drawn: list[str] = []
    engine = engine_of(state, method, None)
    engine._draw = drawn.append
    batch = in_double(batch_of(data, slice(8)))
    losses = losses_of(state.net, batch.x, batch.y).detach()
    logs = method.step(state, batch, Clock(1, 4, 0), engine)
    torch.testing.assert_close(logs["loss"], losses)
    assert drawn == []


@pytest.mark.parametrize(("text", "alike"), [("meta-cb(meta_lr=0)", True), ("meta-cb(meta_lr=1000)", False)])
def test_without_a_correction_it_is_class_weights(text, alike):
    data, net = (
        dataset(29),
        lambda: smooth_net().float(),
    )  # no dropout: the reference's forwards would draw from its stream
    balanced = "erm(class_weights=deferred(effective-number(beta=0.9),start=1))"
    full = text.replace("(", "(class_weights=deferred(effective-number(beta=0.9),start=1),", 1)
    nets = [
        weights(train(make_method(name, {}), data, net, TRAINING, task=task(data), reference=reference()).state.net)
        for name in (full, balanced)
    ]
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(*nets, strict=True)) == alike
    assert not same(*nets) or alike


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("meta-cb(class_weights=none)", "method.class_weights", "none"),
        ("meta-cb(meta_lr=-1)", "method.meta_lr", -1),
    ],
)
def test_bad_settings_are_refused(text, setting, value):
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("sam(base=meta-cb)", "meta-cb", "takes gradients"),
        ("mixup(base=meta-cb)", "meta-cb", "a mixture has two"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason):
    with refused("method.base", base, rule=reason):
        make_method(text, {})


def test_there_must_be_a_reference_set():
    with refused("reference", rule="learns from a reference set"):
        train(MetaCB(), dataset(), make_net, TRAINING, task=make_task(dataset()))
    assert REFERENCE in MetaCB().capabilities.needs
