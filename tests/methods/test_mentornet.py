"""MentorNet: its curriculum against the literal one, the mentor that imitates it, and the one that is refined."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skedastic.core.curriculum import drawn_features, imitating, kept_at_random, moved_percentile, self_paced
from skedastic.methods.bases.card import REFERENCE
from skedastic.methods.bases.step import Clock, Step
from skedastic.methods.mentornet import MentorNet
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.loop import make_task
from tests.reference import mentornet as literal
from tests.support.methods import TRAINING, batch_of, dataset, make_net, observed, reference, same, task, weights
from tests.support.refusals import refused


@pytest.mark.parametrize("width", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("percent", [0, 50, 89, 90, 99])
def test_the_curriculum_is_the_literal_one(width, percent) -> None:
    losses, moving = torch.linspace(0, 5, 31).double(), 1.7
    v = self_paced(losses - moving, percent, width)
    np.testing.assert_allclose(v, [literal.weight(float(x), moving, percent, width) for x in losses])


def test_the_percentile_moves_as_the_literal_one() -> None:
    g = torch.Generator().manual_seed(0)
    batches = torch.rand(6, 13, generator=g).double()
    average, percentiles = torch.zeros(()).double(), []
    for losses in batches:
        average = moved_percentile(average, losses, 0.75, 0.5)
        percentiles.append(float(average))
    assert percentiles == pytest.approx(literal.moving_percentiles(batches.tolist(), 0.75, 0.5))


def test_the_mentor_has_learned_the_curriculum() -> None:
    """On features that it never saw. The rule is a step, late a ramp; a smooth network is near it but at jumps."""
    mentor = imitating(1.0, 0)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(123)
        losses, difference, percent = drawn_features(20_000)
        imitated = mentor(losses, difference, torch.zeros(20_000, dtype=torch.int64), percent).sigmoid()
    wanted = self_paced(difference, percent, 1.0)
    error = (imitated - wanted).abs()
    far = difference.abs() > 1
    assert float(error[far].mean()) < 0.02
    assert float(error.mean()) < 0.12
    late = (percent >= 90) & (difference > 0.1) & (difference < 0.9)
    assert float(np.corrcoef(imitated[late], wanted[late])[0, 1]) > 0.6
    assert imitating(1.0, 0) is mentor, "it is learned once"


@pytest.mark.parametrize("curriculum", ["predefined", "learned"])
def test_the_objective_weighs_by_the_curriculum_after_the_burn_in(curriculum) -> None:
    torch.manual_seed(0)
    method, data = MentorNet(curriculum=curriculum, dropout=0.0, burn_in_dropout=0.0), dataset()
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    out = method.forward(state, batch)
    losses = out.extra.detach()
    for epoch, moved in ((0, 1), (50, 2), (95, 3)):
        clock = Clock(epoch, 100, 0)
        with torch.no_grad():
            method.observe(Step(state, batch, out, clock))
        moving = literal.moving_percentiles([losses.tolist()] * moved, 0.75, 0.5)[-1]
        assert float(state.average) == pytest.approx(moving, rel=1e-6)
        objective = method.objective(Step(state, batch, out, clock))
        expected = [1.0 if epoch < 18 else literal.weight(float(x), moving, epoch, 1.0) for x in losses]
        if curriculum == "learned" and epoch:
            v = state.weights
            assert float(np.corrcoef(v, expected)[0, 1]) > 0.8
            torch.testing.assert_close(objective.total, (v * out.extra).mean())
        else:
            torch.testing.assert_close(objective.total, (torch.tensor(expected) * out.extra).mean())


def test_a_share_of_each_batch_is_left_out_at_random() -> None:
    torch.manual_seed(0)
    kept = torch.stack([kept_at_random(20, 0.3) for _ in range(2000)])
    assert (kept.sum(1) == 14).all()
    np.testing.assert_allclose(kept.mean(0), 0.7, atol=0.05)
    assert kept_at_random(3, 0.99).sum() == 1


def test_a_mentor_that_is_refined_learns_to_tell_right_labels() -> None:
    data, extra = dataset(200), reference()
    clear = [replace(d, x=d.x + 3 * torch.nn.functional.one_hot(d.y, 6)) for d in (data, extra)]
    trained = train(
        MentorNet(curriculum="refined"),
        clear[0],
        make_net,
        replace(TRAINING, epochs=12),
        task=task(clear[0]),
        reference=clear[1],
    )
    rows = [row["mentor_loss"] for row in trained.history]
    assert rows[-1] < 0.5 * rows[0]
    state, method = trained.state.eval(), trained.method
    assert isinstance(method, MentorNet)
    with torch.no_grad():
        logits = state.net(clear[0].x)
        right, wrong = (
            method.judged(
                state, torch.nn.functional.cross_entropy(logits, y, reduction="none"), y, Clock(11, 12, 0)
            ).sigmoid()
            for y in (data.y, (data.y + 1) % 3)
        )
    assert float(right.mean()) > 0.7
    assert float(wrong.mean()) < 0.3
    assert set(method.param_groups(state)) == {"main", "mentor"}


def test_only_the_refined_mentor_needs_a_reference_set() -> None:
    assert REFERENCE not in MentorNet().capabilities.needs
    with refused("reference", rule="learns from a reference set"):
        train(MentorNet(curriculum="refined"), dataset(), make_net, TRAINING, task=make_task(dataset()))


def test_in_an_endless_burn_in_it_is_plain_training() -> None:
    data = dataset()
    nets = [
        weights(train(make_method(text, {}), data, make_net, TRAINING, task=task(data)).state.net)
        for text in (
            "mentornet(burn_in=1000,burn_in_dropout=0)",
            "erm",
            "mentornet(burn_in=1)",
            "mentornet(burn_in=1,curriculum=predefined)",
        )
    ]
    assert same(nets[0], nets[1])
    assert not same(nets[2], nets[1])
    assert not same(nets[2], nets[3])


def test_sam_around_it_takes_the_weights_of_the_first_forward() -> None:
    torch.manual_seed(0)
    data = dataset()
    trained = train(make_method("sam(base=mentornet)", {}), data, make_net, TRAINING, task=task(data))
    assert all(p.isfinite().all() for p in trained.state.parameters())
    method = MentorNet(burn_in=0.0)
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    observed(method, state, batch)
    weighed = state.weights.clone()
    method.objective(Step(state, batch, method.forward(state, batch), Clock(0, 1, 0)))
    assert torch.equal(state.weights, weighed)


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("mentornet(curriculum=learnt)", "method.curriculum", "learnt"),
        ("mentornet(percentile=1)", "method.percentile", 1),
        ("mentornet(dropout=1)", "method.dropout", 1),
        ("mentornet(burn_in=-1)", "method.burn_in", -1),
        ("mentornet(width=inf)", "method.width", float("inf")),
        ("mentornet(mentor_lr=0)", "method.mentor_lr", 0),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("mixup(base=mentornet)", "mentornet", "a mixture's is large"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason) -> None:
    with refused("method.base", base, rule=reason):
        make_method(text, {})
