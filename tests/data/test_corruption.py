"""Noise and imbalance: the meaning of specifications, those that are refused, and that the seed decides everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from skedastic.data import Classes, Dataset, Grouping, Truth, affected_classes, corrupt
from skedastic.data.corruption import flip_labels
from skedastic.data.corruption_spec import parse_imbalance, parse_noise
from tests.support.refusals import refused

DIGITS = tuple("0123456789")


def dataset(n: int = 1000, classes: tuple[str, ...] = DIGITS, groups: tuple[str, ...] | None = None) -> Dataset:
    y = torch.arange(n) % len(classes)
    group = y if groups is None else torch.arange(n) // 3 % len(groups)
    return Dataset(
        x=torch.arange(n).float()[:, None],
        y=y,
        index=torch.arange(n) + 10_000,
        group=group,
        target=Classes(classes),
        grouping=Grouping(groups or classes),
        kind="table",
    )


def literal_transition(spec: str, classes: tuple[str, ...]) -> np.ndarray:
    """Read the simple specifications the slow way: one rule, one class at a time."""
    transition = np.eye(len(classes))
    for rule in spec.split(","):
        names, p = rule.rsplit(":", 1)
        for a, clean in enumerate(classes):
            for b, noisy in enumerate(classes):
                moves = (
                    (names == "uniform" and a != b)
                    or (names == "pairs" and b == (a + 1) % len(classes))
                    or names == f"{clean}->{noisy}"
                    or names in (f"{clean}<->{noisy}", f"{noisy}<->{clean}")
                )
                if moves:
                    share = float(p) / (len(classes) - 1 if names == "uniform" else 1)
                    transition[a, b] += share
                    transition[a, a] -= share
    return transition


@pytest.mark.parametrize(
    "spec", ["1<->8:0.4,3<->9:0.4", "1->8:0.25,8->3:1", "uniform:0.3", "pairs:0.45", "0->9:0", "uniform:1"]
)
def test_a_specification_is_a_transition_matrix(spec: str) -> None:
    transition = parse_noise(spec, DIGITS)
    np.testing.assert_allclose(transition, literal_transition(spec, DIGITS), atol=1e-12)
    np.testing.assert_allclose(transition.sum(1), 1)
    noisy = flip_labels(np.repeat(np.arange(10), 20_000), transition, np.random.default_rng(0)).reshape(10, -1)
    observed = np.array([np.bincount(row, minlength=10) for row in noisy]) / 20_000
    np.testing.assert_allclose(observed, transition, atol=0.015)
    assert (observed[transition == 0] == 0).all(), "what has probability zero never happens"


def test_class_names_may_hold_any_character() -> None:
    classes = ("a", "a->b", "b", "b:0.1", "c,d", "<->", "x y", "d")
    assert parse_noise("a->b->b:0.1:0.5", classes)[1, 3] == 0.5
    assert parse_noise("a->b:0.1", classes)[0, 2] == 0.1
    assert parse_noise("c,d<-><->:0.2 , x y -> d : 0.3", classes)[[4, 5, 6], [5, 4, 7]].tolist() == [0.2, 0.2, 0.3]
    assert parse_imbalance("step:2:c,d, x y", classes).share.tolist() == [1, 1, 1, 1, 0.5, 1, 0.5, 1]
    assert parse_imbalance("step:2:d,b:0.1", classes).share.tolist() == [1, 1, 1, 0.5, 1, 1, 1, 0.5]


NOT_NOISE = {
    "1<->8:1.5": "'1.5' is no probability",
    "1<->8:-0.1": "'-0.1' is no probability",
    "1<->8:nan": "'nan' is no probability",
    "1<->8:much": "'much' is no probability",
    "1<->8:": "'' is no probability",
    "uniform:2": "'2' is no probability",
    "pairs:": "'' is no probability",
    "1<->8": "is not understood at '1<->8'",
    "noise": "is not understood at 'noise'",
    "": "is not understood",
    "1<->8:0.4;3<->9:0.4": "is not understood",
    "1<->10:0.4": "unknown class '10'",
    "eigth<->1:0.4": "did you mean 'eight'?",
    "1<->1:0.4": "class '1' can't be flipped to itself",
    "1<->8:0.4,8->3:0.1": "class '8' flips by two rules",
    "1<->8<->1:0.4": "class '1' can't be flipped to itself",
    "1->8<->2:0.4": "is not understood at '1->8<->2:0.4'; write a<->b:p, a<->b<->c:p",
    "1<->8<->eigth:0.4": "unknown class 'eigth'",
    "1->8:0.4,1->8:0.4": "class '1' flips by two rules",
    "1<->8:0.4,uniform:0.1": "uniform flips every class and stands alone",
}


@pytest.mark.parametrize("spec", NOT_NOISE)
def test_impossible_noise_is_refused(spec: str) -> None:
    with refused("noise", spec, rule=NOT_NOISE[spec]):
        parse_noise(spec, (*DIGITS, "eight"))


NOT_IMBALANCE = {
    "step": "is not understood",
    "steep:3": "is not understood",
    "longtail:10:1,2": "is not understood",
    "step:0.5": "'0.5' is no ratio",
    "step:inf": "'inf' is no ratio",
    "step:nan:1": "'nan' is no ratio",
    "longtail:x": "'x' is no ratio",
    "step:3:1,12": "unknown class '12'",
    "step:3:": "unknown class ''",
    "step:3:1,1": "a class is named twice",
}


@pytest.mark.parametrize("spec", NOT_IMBALANCE)
def test_impossible_imbalance_is_refused(spec: str) -> None:
    with refused("imbalance", spec, rule=NOT_IMBALANCE[spec]):
        parse_imbalance(spec, DIGITS)


def test_steps_and_long_tails_count_as_cao_et_al_do() -> None:
    counts = np.full(10, 300)
    assert parse_imbalance("step:10:1,3,8,9", DIGITS).kept(counts).tolist() == [
        300,
        30,
        300,
        30,
        300,
        300,
        300,
        300,
        30,
        30,
    ]
    assert parse_imbalance("step:3", DIGITS).kept(counts).tolist() == [300] * 5 + [100] * 5
    tail = parse_imbalance("longtail:100", DIGITS).kept(counts)
    assert tail.tolist() == [int(300 * 0.01 ** (i / 9.0) + 1e-9) for i in range(10)]
    assert parse_imbalance("longtail:100", DIGITS).kept(np.array([300] * 9 + [2]))[9] == 2, "at most what it has"
    assert parse_imbalance("step:1000", DIGITS).kept(counts).min() == 1
    assert (parse_imbalance("longtail:1", DIGITS).kept(counts) == 300).all()


def test_labels_are_corrupted_first_and_examples_removed_by_the_noisy_label() -> None:
    clean = dataset()
    noisy, truth = corrupt(clean, noise="3->9:0.9", imbalance="step:4:9", seed=3)
    assert truth is not None
    labelled_9 = int((corrupt(clean, noise="3->9:0.9", seed=3)[0].y == 9).sum())
    assert 180 < labelled_9 < 200
    assert int((noisy.y == 9).sum()) == labelled_9 // 4
    assert 10 < int((truth.clean == 3).sum()) < 60, "most of the examples of class 3 were removed as nines"
    assert int((noisy.y == 3).sum()) == 200 - labelled_9, "those labelled 3 all stay"


def test_an_empty_class_after_corruption_is_refused() -> None:
    with refused("noise", "3->9:1") as caught:
        corrupt(dataset(), noise="3->9:1")
    assert caught.value.given.endswith("class '3' (0)")
    with refused("imbalance", "step:100:1,2") as caught:
        corrupt(dataset(), imbalance="step:100:1,2")
    assert caught.value.given.endswith("class '1' (1), '2' (1)")
    with refused("noise, imbalance", "3->9:0.99 step:10"):
        corrupt(dataset(), noise="3->9:0.99", imbalance="step:10")


def test_truth_follows_its_examples_and_features_follow_theirs() -> None:
    clean = dataset()
    noisy, truth = corrupt(clean, noise="uniform:0.5", imbalance="longtail:10", seed=1)
    assert truth is not None
    assert torch.equal(truth.index, noisy.index)
    rows = noisy.index - 10_000
    assert torch.equal(truth.clean, clean.y[rows])
    assert torch.equal(noisy.x, clean.x[rows])
    assert torch.equal(truth.of(noisy.index.flip(0)), truth.clean.flip(0))
    assert (noisy.y != truth.clean).float().mean() == pytest.approx(0.5, abs=0.06)
    with pytest.raises(KeyError):
        truth.of(torch.tensor([1]))


def test_only_a_group_that_is_the_label_follows_the_noisy_label() -> None:
    noisy, _ = corrupt(dataset(), noise="uniform:0.5")
    assert torch.equal(noisy.group, noisy.y)
    clean = dataset(groups=("n", "s"))
    noisy, _ = corrupt(clean, noise="uniform:0.5")
    assert torch.equal(noisy.group, clean.group)
    same_names = replace(dataset(), group=dataset().y.flip(0))
    assert torch.equal(corrupt(same_names, noise="uniform:0.5")[0].group, same_names.group)


def test_known_truth_is_kept() -> None:
    data = dataset()
    known = Truth(clean=data.y.flip(0), index=data.index)
    noisy, truth = corrupt(data, known, noise="pairs:0.2", imbalance="step:2")
    assert torch.equal(truth.clean, known.of(noisy.index))
    unchanged, nothing = corrupt(data)
    assert unchanged is data
    assert nothing is None
    assert corrupt(data, imbalance="step:2")[1] is None, "removing examples says nothing of their true labels"


def test_the_seed_decides_and_noise_and_imbalance_draw_apart() -> None:
    data = dataset()

    def run(**options: object) -> Dataset:
        return corrupt(data, **options)[0]

    once, again, other = (run(noise="uniform:0.3", imbalance="step:2", seed=s) for s in (5, 5, 6))
    assert torch.equal(once.index, again.index)
    assert torch.equal(once.y, again.y)
    assert not torch.equal(once.y, other.y)
    noise_alone = run(noise="uniform:0.3", seed=5)
    assert torch.equal(noise_alone.y[once.index - 10_000], once.y), "imbalance never changes the flips"
    rare = run(imbalance="step:2", seed=5)
    with_inert_noise = run(noise="uniform:0", imbalance="step:2", seed=5)
    assert torch.equal(rare.index, with_inert_noise.index), "noise never changes the draw of what is removed"
    torch.manual_seed(0)
    state = torch.get_rng_state()
    run(noise="uniform:0.3", imbalance="step:2")
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("noise", "imbalance", "expected"),
    [
        ("1<->8:0.4,3<->9:0.4", "step:3:1,3,8,9", "1389"),
        ("1<->8:0.4", "step:3:0", "018"),
        ("2->3:0.1", None, "2"),
        ("2->3:0", None, ""),
        ("uniform:0.4", None, ""),
        ("uniform:0.4", "step:10", "56789"),
        (None, "longtail:100", "56789"),
        (None, "step:1", ""),
        (None, None, ""),
    ],
)
def test_the_default_focus_is_the_corrupted_classes(noise: str | None, imbalance: str | None, expected: str) -> None:
    assert affected_classes(noise, imbalance, DIGITS) == tuple(expected)
