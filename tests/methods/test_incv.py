"""INCV: its estimate, its selection and its training, against its equations and on data whose truth is known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from skedastic.data import corrupt
from skedastic.methods.bases.step import Clock
from skedastic.methods.incv import (
    DROPPED,
    INCV,
    SELECTED,
    STATUS,
    chosen,
    kept_rows,
    left_wrong,
    noise_rate,
    smallest_of,
)
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.loop import make_task
from tests.reference import incv as literal
from tests.support.methods import TRAINING, batch_of, dataset, make_net, observed, task
from tests.support.refusals import refused


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.45])
def test_the_noise_rate_is_that_of_the_search_and_of_the_theorem(classes, rate) -> None:
    agreement = (1 - rate) ** 2 + rate**2 / (classes - 1)
    assert noise_rate(agreement, classes) == pytest.approx(rate, abs=1e-9)
    assert noise_rate(agreement, classes) == pytest.approx(literal.noise_rate(agreement, classes), abs=0.0011)


def test_agreement_that_no_noise_explains_is_the_most_noise() -> None:
    assert noise_rate(0.05, 10) == pytest.approx(0.9)
    assert noise_rate(0.2, 2) == pytest.approx(0.5)
    assert noise_rate(1.0, 10) == 0


@pytest.mark.parametrize(("classes", "rate"), [(4, 0.4), (10, 0.3), (2, 0.2)])
def test_the_theorem_holds_in_simulation(classes, rate) -> None:
    """A simulated network that learns the labels' distribution agrees, and is wrong, as often as the theorem says."""
    agreement, wrong = literal.simulated(classes, rate, 400_000, seed=classes)
    assert noise_rate(agreement, classes) == pytest.approx(rate, abs=0.01)
    assert left_wrong(rate, classes) == pytest.approx(wrong, abs=0.005)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 0.7, 0.9])
def test_who_is_selected_and_dropped(rate) -> None:
    g = torch.Generator().manual_seed(int(rate * 100))
    agrees, losses = torch.rand(40, generator=g) < 0.6, torch.rand(40, generator=g)
    selected, dropped = literal.choose(agrees.tolist(), losses.tolist(), rate)
    fates = chosen(agrees, losses, rate)
    assert set(np.flatnonzero(fates == SELECTED)) == selected
    assert set(np.flatnonzero(fates == DROPPED)) == dropped
    if rate == 0.02:
        assert not dropped, "where none is to be dropped, none is, and not all"


def noisy(n: int = 400):
    data = dataset(n)
    return corrupt(replace(data, x=data.x + 3 * torch.nn.functional.one_hot(data.y, 6)), noise="uniform:0.3", seed=1)


def test_the_halves_are_apart_and_together_all_candidates() -> None:
    data = dataset(51)
    method = INCV(rounds=2)
    stages = method.stages(make_task(data))
    assert [stage.name for stage in stages] == [
        "round-1-first", "round-1-second", "round-2-first", "round-2-second", "train",
    ]  # fmt: skip
    current = make_task(data)
    rounds: list[Any] = [stage.method for stage in stages[:4]]
    one, other = (half.halves(current) for half in rounds[:2])
    assert sorted([*one[0].tolist(), *one[1].tolist()]) == list(range(51))
    assert torch.equal(one[0], other[1])
    assert torch.equal(one[1], other[0])
    status = torch.zeros(51, dtype=torch.int8)
    status[:20], status[20:25] = SELECTED, DROPPED
    trained, held = rounds[2].halves(replace(current, handed_on={STATUS: status}))
    assert set(range(20)) <= set(trained.tolist())
    assert set(trained.tolist()) | set(held.tolist()) == set(range(51)) - set(range(20, 25))
    other_seed = rounds[0].halves(replace(current, seed=1))
    assert not torch.equal(other_seed[0], one[0])


@pytest.mark.slow
def test_it_selects_clean_labels_and_finds_the_noise() -> None:
    data, truth = noisy()
    trained = train(INCV(), data, make_net, replace(TRAINING, epochs=20), task=make_task(data))
    rows = [row for row in trained.history if row["stage"] == "round-1-first"]
    assert 0.08 < rows[-1]["noise_rate"] < 0.35  # a network that does better than its labels is taken for less noise
    selected = trained.state.selected.of(data.index) == 1
    wrong = truth.of(data.index) != data.y
    assert 0.5 < float(selected.float().mean()) < 0.85
    assert float(wrong[selected].float().mean()) < 0.1
    assert trained.stages == tuple(stage.name for stage in INCV().stages(make_task(data)))
    assert float(trained.state.rate) == pytest.approx(left_wrong(rows[-1]["noise_rate"], 3))


def test_of_asymmetric_noise_nothing_is_dropped() -> None:
    data, _ = noisy()
    trained = train(
        INCV(pattern="asymmetric", rounds=1), data, make_net, replace(TRAINING, epochs=8), task=make_task(data)
    )
    assert len(trained.state.selected.of(data.index)) == len(data)
    assert bool((trained.state.selected.of(data.index) == 0).any())
    status = torch.tensor([SELECTED, DROPPED, 0])
    assert kept_rows(replace(make_task(dataset(3)), handed_on={STATUS: status})).tolist() == [0, 2]


def test_co_teaching_sees_the_selected_alone_at_first_and_keeps_as_many_later() -> None:
    data = dataset(40)
    status = torch.zeros(40, dtype=torch.int8)
    status[::2] = SELECTED
    done = replace(task(data), handed_on={STATUS: status, "rate": torch.tensor(0.4, dtype=torch.float64)})
    method = INCV(gradual=0, warmup=2.0)
    torch.manual_seed(0)
    state = method.init(done, make_net).train()
    batch = batch_of(data, slice(20))
    step = observed(method, state, batch)
    first, other = step.out.extra.losses
    kept = round((1 - left_wrong(0.4, 3)) * 10)
    chosen_by = {}
    for epoch, among in ((0, batch.index % 2 == 0), (2, torch.ones(20, dtype=torch.bool))):
        expected = sum(
            a[
                torch.tensor(sorted(among.nonzero().flatten().tolist(), key=b.detach().tolist().__getitem__)[:kept])
            ].mean()
            for a, b in ((first, other), (other, first))
        )
        chosen_by[epoch] = method.objective(replace(step, clock=Clock(epoch, 10, 0))).total
        torch.testing.assert_close(chosen_by[epoch], expected)
    assert not torch.equal(chosen_by[2], chosen_by[0])


def test_the_smallest_of_some() -> None:
    losses, among = torch.tensor([1.0, 0.1, 3.0, 0.5]), torch.tensor([True, False, True, True])
    assert smallest_of(losses, among, torch.tensor(2)).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("incv(rounds=0)", "method.rounds", 0),
        ("incv(search=0)", "method.search", 0),
        ("incv(pattern=symetric)", "method.pattern", "symetric"),
        ("incv(warmup=-1)", "method.warmup", -1),
        ("incv(gradual=inf)", "method.gradual", float("inf")),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("sam(base=incv)", "incv", "chooses examples"),
        ("mixup(base=incv)", "incv", "a mixture has two labels"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason) -> None:
    with refused("method.base", base, rule=reason):
        make_method(text, {})
