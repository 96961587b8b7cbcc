"""Small-loss trimming: who is left out, when, and what is trained on afterwards."""

from dataclasses import replace

import pytest
import torch

from skedastic.data import corrupt
from skedastic.methods.bases.card import LAST_LAYER
from skedastic.methods.bases.step import Clock, Out, Step
from skedastic.methods.small_loss import SmallLoss
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.loop import make_task
from tests.reference import small_loss as literal
from tests.support.methods import TRAINING, batch_of, dataset, engine_for, make_net, observed, same, task, weights
from tests.support.refusals import refused


def test_who_is_kept_is_the_definition():
    """Six epochs of losses, of which the last three count; random labels from the last layer, by other draws."""
    torch.manual_seed(0)
    method, data = SmallLoss(begins=6.0, percentile=40.0, history=3), dataset()
    state = method.init(task(data), make_net)
    losses = torch.rand(50, 6) * 3
    batch = batch_of(data, torch.arange(50))
    for epoch in range(7):
        method.take(Step(state, batch, Out(None), Clock(epoch, 10, 0)), losses[:, min(epoch, 5)] + 100 * (epoch == 6))
        if epoch == 5:
            method.end_epoch(state, task(data), Clock(5, 10, 0), engine_for(method, state))
    head = state.net[4]
    random = literal.random_losses(head.weight.detach().numpy(), head.bias.detach().numpy(), 20_000, 1)
    expected = literal.kept(losses.numpy(), random, 40.0, 3)
    kept = (state.kept.of(data.index) == 1).tolist()
    assert sum(a != b for a, b in zip(kept, expected, strict=True)) <= 2, "but for what is at the threshold"
    assert 5 < sum(kept) < 45


def test_predictions_give_the_losses_of_random_labels_too():
    torch.manual_seed(0)
    method, data = SmallLoss(simulated="predictions"), dataset()
    state = method.init(task(data), make_net).eval()
    engine = engine_for(method, state)
    drawn = torch.cat([method._of_random_labels(state, task(data), engine) for _ in range(200)])
    log_p = state.net(data.x).detach().log_softmax(1)
    assert float(drawn.detach().mean()) == pytest.approx(float(-log_p.mean()), rel=0.02)
    assert {round(v, 4) for v in drawn.detach().tolist()} <= {round(v, 4) for v in (-log_p).flatten().tolist()}


@pytest.mark.parametrize(
    ("settings", "kept", "says"),
    [
        ({"begins": 2.0}, 1.0, "small-loss left nothing out: when it decided, no label had the loss of a random one."),
        ({"begins": 9.0}, 1.0, "small-loss left nothing out: training was over before it began: set begins to less."),
        ({"begins": 2.0}, 0.9, None),
    ],
)
def test_it_says_so_where_nothing_was_left_out(settings, kept, says):
    rows = [{"loss": 1.0, "kept": 1.0}] * 3 + [{"loss": 1.0, "kept": kept}]
    notes = SmallLoss(**settings).notes(rows, 16)
    assert len(notes) == (says is not None)
    assert all(text.startswith(says) for text in notes)


def test_examples_that_are_left_out_have_no_part_in_the_objective():
    method, data = SmallLoss(begins=1.0), dataset()
    torch.manual_seed(0)
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    state.kept.put(data.index[:4], torch.zeros(4))
    step = observed(method, state, batch)
    after = method.objective(replace(step, clock=Clock(1, 4, 0)))
    torch.testing.assert_close(after.total, step.out.extra[4:].mean())
    before = method.objective(replace(step, clock=Clock(0, 4, 0)))
    torch.testing.assert_close(before.total, step.out.extra.mean())
    state.kept.put(data.index, torch.zeros(50))
    assert float(method.objective(replace(step, clock=Clock(1, 4, 0))).total.detach()) == 0


def test_it_leaves_out_wrong_labels():
    data = dataset(400)
    clean = replace(data, x=data.x + 3 * torch.nn.functional.one_hot(data.y, 6))
    noisy, truth = corrupt(clean, noise="uniform:0.3", seed=1)
    trained = train(SmallLoss(begins=4.0), noisy, make_net, replace(TRAINING, epochs=8), task=make_task(noisy))
    kept = trained.state.kept.of(noisy.index) == 1
    wrong = truth.of(noisy.index) != noisy.y
    assert float(wrong[kept].float().mean()) < 0.1
    assert float(kept[~wrong].float().mean()) > 0.6
    rows = [row["kept"] for row in trained.history]
    assert rows[:3] == [1, 1, 1]
    assert rows[3:] == pytest.approx([float(kept.float().mean())] * 5)


def test_before_it_begins_it_is_plain_training():
    data = dataset()
    nets = [
        weights(train(make_method(text, {}), data, make_net, TRAINING, task=task(data)).state.net)
        for text in ("small-loss(begins=5)", "erm", "small-loss(begins=1)")
    ]
    assert same(nets[0], nets[1])
    assert not same(nets[2], nets[1])


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("small-loss(begins=0)", "method.begins", 0),
        ("small-loss(percentile=101)", "method.percentile", 101),
        ("small-loss(history=0)", "method.history", 0),
        ("small-loss(simulated=gausian)", "method.simulated", "gausian"),
        ("small-loss(loss=dmi)", "method.loss", "dmi"),
    ],
)
def test_bad_settings_are_refused(text, setting, value):
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("mixup(base=small-loss)", "small-loss", "a mixture is of two"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason):
    with refused("method.base", base, rule=reason):
        make_method(text, {})


def test_only_drawn_features_need_a_last_layer():
    assert LAST_LAYER in SmallLoss().capabilities.takes
    assert LAST_LAYER not in SmallLoss(simulated="predictions").capabilities.takes
