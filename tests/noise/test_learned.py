"""Whether anything was learned: chance is told from learning, by the whole, by fold, by group and by class."""

import itertools

import numpy as np
import pytest

from skedastic.noise.held_out import Judged
from skedastic.noise.learned import Learned, centred_ranks, learned_classes, together
from skedastic.noise.learned_regression import learned_numbers, nearer


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def judged(p, y, fold=None, group=None, unit=None) -> Learned:
    fold = np.arange(len(y)) % 2 if fold is None else fold
    group = y if group is None else group
    unit = np.arange(len(y)) if unit is None else unit
    return learned_classes(p, p.argmax(1), Judged(y, fold, group, int(group.max()) + 1, unit))


def predicted(y, strength, seed=0, bias=0.0):
    """Return class probabilities that know `y` as well as `strength` tells; `bias` is for the first class."""
    classes = int(y.max()) + 1
    z = np.random.default_rng(seed).normal(size=(len(y), classes)) + strength * np.eye(classes)[y]
    z[:, 0] += bias
    return softmax(z)


def test_the_variance_is_that_of_all_orders_of_the_labels() -> None:
    scores = centred_ranks(np.random.default_rng(0).random((6, 3)))
    y = np.array([0, 1, 1, 2, 0, 1])
    sums = [together(scores, np.array(order)).parts.sum() for order in itertools.permutations(y)]
    assert np.mean(sums) == pytest.approx(0, abs=1e-12)
    assert together(scores, y).variance == pytest.approx(np.var(sums))


@pytest.mark.parametrize(("n", "shares"), [(60, [1, 1]), (200, [9, 1]), (300, [1] * 10), (1000, [20, 5, 1])])
def test_chance_is_not_learned(n, shares) -> None:
    share = np.array(shares) / np.sum(shares)
    rng = np.random.default_rng(1)
    found = 0
    for seed in range(100):
        y = np.r_[np.arange(len(share)), rng.choice(len(share), n - len(share), p=share)]
        found += judged(predicted(y, 0.0, seed), y).whole
    assert found <= 4


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.4])
def test_what_is_learned_is_found_behind_noise_and_in_rare_classes(noise) -> None:
    rng = np.random.default_rng(2)
    clean = np.repeat(np.arange(3), [300, 200, 20])
    y = np.where(rng.random(len(clean)) < noise, rng.integers(0, 3, len(clean)), clean)
    found = judged(predicted(clean, 5.0), y, fold=rng.integers(0, 2, len(y)))
    assert found.whole
    assert found.folds.all()
    assert found.groups[:2].all()
    assert noise or found.groups.all()


def test_one_class_alone_is_not_learned_though_its_ranks_tell_a_little() -> None:
    y = np.random.default_rng(3).choice(3, 700, p=[0.48, 0.3, 0.22])
    found = judged(predicted(y, 0.25, bias=9.0), y)
    assert not found.whole
    assert found.collapsed
    assert not found.groups.any()


def test_good_ranks_of_a_rare_class_that_is_never_predicted_are_learned() -> None:
    y = (np.arange(2000) % 40 == 0).astype(int)
    p = predicted(y, 3.0, bias=9.0)
    assert not p.argmax(1).any()
    again = np.argsort(np.argsort(-p[:, 1])) < y.sum()  # each class as often as it is labelled
    fold = np.arange(2000) // 1000
    found = learned_classes(p, again.astype(int), Judged(y, fold, y, 2, np.arange(2000)))
    assert found.whole
    assert found.groups.all()


def test_a_fold_that_collapsed_is_left_out_and_a_small_one_is_not() -> None:
    y = np.arange(400) % 4
    fold = np.arange(400) // 4 % 2
    p = predicted(y, 4.0)
    p[fold == 1] = [0.4, 0.2, 0.2, 0.2]
    found = judged(p, y, fold)
    assert found.whole
    assert found.folds.tolist() == [True, False]
    assert found.collapsed
    few = np.r_[np.zeros(388, int), np.ones(12, int)]
    assert judged(predicted(y, 2.0), y, few).folds.all()


def test_a_group_of_which_only_the_most_frequent_label_is_known_is_not_learned() -> None:
    rng = np.random.default_rng(4)
    group = np.arange(1200) % 3
    y = np.where(group == 0, rng.random(1200) < 0.8, rng.integers(0, 2, 1200)).astype(int)
    p = predicted(y, 3.0)
    p[group == 0] = softmax(np.random.default_rng(5).normal(size=(400, 2)) + np.array([0, 3]))
    found = judged(p, y, rng.integers(0, 2, 1200), group)
    assert found.groups.tolist() == [False, True, True]
    assert found.classes is not None
    assert found.classes.all()


def test_rows_of_one_unit_count_together() -> None:
    rng = np.random.default_rng(6)
    unit, alarms = np.repeat(np.arange(20), 15), 0
    for _ in range(60):
        of_unit = rng.integers(0, 2, 20)
        values = softmax(np.c_[rng.normal(size=20), np.zeros(20)])
        alarms += judged(values[unit], of_unit[unit], unit=unit).whole
    assert alarms <= 4


def numbers(p, y, fold=None, group=None, binned=False):
    fold = np.arange(len(y)) % 2 if fold is None else fold
    group = np.zeros(len(y), int) if group is None else group
    return learned_numbers(p, Judged(y, fold, group, int(group.max()) + 1, np.arange(len(y))), binned=binned)


def test_numbers_are_learned_or_not() -> None:
    rng = np.random.default_rng(7)
    y = rng.lognormal(size=300)
    assert sum(numbers(rng.lognormal(size=300), y).whole for _ in range(100)) <= 3
    assert numbers(y + rng.normal(size=300), y).whole
    assert not numbers(100 * y, y).whole  # in order, and farther off than the mean
    p = y + 0.3 * rng.normal(size=300)
    p[::2] = 50 * rng.random(150)
    found = numbers(p, y)
    assert found.whole
    assert found.folds.tolist() == [False, True]
    group = (np.arange(300) // 2 % 2).astype(int)
    p = np.where(group == 1, y.mean() + rng.normal(size=300) * 0.1, y + 0.1 * rng.normal(size=300))
    assert numbers(p, y, group=group).groups.tolist() == [True, False]


def test_bins_of_the_target_are_learned_the_middle_one_too() -> None:
    rng = np.random.default_rng(8)
    y = np.sort(rng.normal(size=600))
    group = np.arange(600) // 120
    assert numbers(y + 0.3 * rng.normal(size=600), y, group=group, binned=True).groups.all()
    middle = group == 2
    chance = [nearer(rng.permutation(y), y, middle) for _ in range(400)]
    sums = [e.parts.sum() for e in chance]
    assert np.mean(sums) == pytest.approx(0, abs=0.3)
    assert 0.5 < np.var(sums) / chance[0].variance < 1.2
