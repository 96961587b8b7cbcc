"""Decoupling: against its definition, and on bad input."""

from dataclasses import replace

import pytest
import torch

from skedastic.methods.bases.step import Clock
from skedastic.methods.decoupling import Decoupling, mean_over
from skedastic.settings.methods import make_method
from skedastic.training import train
from tests.reference import decoupling as literal
from tests.support.methods import TRAINING, batch_of, dataset, make_net, observed, same, task, weights
from tests.support.refusals import refused


@pytest.mark.parametrize("least", [0.1, 0.5, 1.0])
def test_the_objective_is_the_definition(least):
    torch.manual_seed(0)
    method, data = Decoupling(warmup=2.0, least=least), dataset()
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(32))
    step = observed(method, state, batch)
    losses = [part.detach().tolist() for part in step.out.extra.losses]
    one, other = (logits.argmax(1).tolist() for logits in step.out.extra.logits)
    objective = method.objective(replace(step, clock=Clock(2, 10, 0)))
    expected = sum(literal.loss(part, one, other, least) for part in losses)
    assert float(objective.total.detach()) == pytest.approx(expected, rel=1e-5)
    assert 0 < objective.logs["disagreed"].sum() < 32
    warm = method.objective(replace(step, clock=Clock(1, 10, 0)))
    assert float(warm.total.detach()) == pytest.approx(sum(sum(part) / 32 for part in losses), rel=1e-5)


def test_where_all_agree_nothing_is_learned():
    losses = torch.rand(8, requires_grad=True)
    total = mean_over(losses, torch.zeros(8, dtype=torch.bool), 0.1)
    (gradient,) = torch.autograd.grad(total, losses)
    assert float(total.detach()) == 0
    assert not gradient.any()
    one = torch.zeros(8, dtype=torch.bool)
    one[3] = True
    (gradient,) = torch.autograd.grad(mean_over(losses, one, 0.5), losses)
    assert gradient.tolist() == [0, 0, 0, 0.25, 0, 0, 0, 0]


def test_with_an_endless_warmup_it_is_plain_training_but_for_dropout():
    data, net = dataset(), lambda: torch.nn.Sequential(torch.nn.Linear(6, 3))
    nets = [
        weights(train(make_method(text, {}), data, net, TRAINING, task=task(data)).state.net)
        for text in ("decoupling(warmup=1000000)", "erm", "decoupling(warmup=1)")
    ]
    assert same(nets[0], nets[1])
    assert not same(nets[2], nets[1])


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("decoupling(warmup=-1)", "method.warmup", -1),
        ("decoupling(least=0)", "method.least", 0),
    ],
)
def test_bad_settings_are_refused(text, setting, value):
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("sam(base=decoupling)", "decoupling", "at other weights would choose others"),
        ("mixup(base=decoupling)", "decoupling", "a mixture is of two"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason):
    with refused("method.base", base, rule=reason):
        make_method(text, {})


def test_it_takes_two_networks():
    net = make_net()
    with refused("model", rule="trains two networks, and model gives the same one twice"):
        train(Decoupling(), dataset(), lambda: net, TRAINING, task=task(dataset()))
