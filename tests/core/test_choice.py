"""Which of two ways of training is better: against the definition, by simulation, and at the edges."""

import numpy as np
import pytest
import torch

from skedastic.core.choice import gives_up_a_class, gives_up_more, paired_gain


def by_definition(right, other, group):
    """The mean over groups of the mean difference, one example at a time, and its standard error."""
    differences: dict[int, list[int]] = {}
    for a, b, g in zip(right, other, group, strict=True):
        differences.setdefault(g, []).append(int(a) - int(b))
    means = [np.mean(d) for d in differences.values()]
    squares = [np.sum((np.array(d) - np.mean(d)) ** 2) for d in differences.values()]
    common = np.var([d for of_group in differences.values() for d in of_group], ddof=1)
    variances = [(s + 5 * common) / (len(d) + 4) / len(d) for s, d in zip(squares, differences.values(), strict=True)]
    return np.mean(means), np.sqrt(np.sum(variances)) / len(means)


@pytest.mark.parametrize("sizes", [(30, 30), (200, 7), (5, 1, 40)])
def test_the_gain_is_the_definition(sizes) -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(len(sizes)) * 2, sizes)  # every other number is of a group without examples
    right, other = rng.random(len(group)) < 0.7, rng.random(len(group)) < 0.5
    gain = paired_gain(*(torch.from_numpy(column) for column in (right, other, group)))
    assert gain == pytest.approx(by_definition(right, other, group))


def test_two_ways_that_do_alike_have_no_difference_and_no_doubt() -> None:
    right = torch.tensor([True, False, True, False])
    assert paired_gain(right, right, torch.tensor([0, 0, 1, 1])) == (0.0, 0.0)


def test_the_error_is_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(0)
    group = torch.from_numpy(np.repeat([0, 1, 2], [400, 60, 20]))
    gains = []
    for _ in range(400):
        hard = rng.random(len(group))  # the same for both, so that it cancels
        right, other = (torch.from_numpy((hard < at) ^ (rng.random(len(group)) < 0.1)) for at in (0.75, 0.6875))
        gains.append(paired_gain(right, other, group))
    means, errors = np.array(gains).T
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.15)
    held = np.abs(means - 0.05) < 2 * errors
    assert held.mean() > 0.9


def test_on_labels_that_go_wrong_by_class_the_gain_is_smaller_by_a_known_factor() -> None:
    """Balanced accuracy of two classes on noisy labels is (1 − α − β) of that on true ones, and a constant.

    α and β are the shares of wrong labels among those labelled as each class.
    """
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 200_000)
    given = np.where(rng.random(len(true)) < np.where(true == 0, 0.1, 0.4), 1 - true, true)
    good, bad = (np.where(rng.random(len(true)) < at, true, 1 - true) for at in (0.9, 0.7))
    clean, noisy = (
        paired_gain(*(torch.from_numpy(column) for column in (good == label, bad == label, label)))
        for label in (true, given)
    )
    wrong = sum(np.mean(true[given == c] != c) for c in (0, 1))
    assert noisy.mean == pytest.approx((1 - wrong) * clean.mean, abs=0.01)


def test_a_class_is_given_up_below_half_of_its_labels_and_of_the_others_predictions() -> None:
    y = torch.tensor([0] * 20 + [1] * 10)

    def predicted(ones, n=30):
        return torch.tensor([0] * (n - ones) + [1] * ones)

    assert gives_up_a_class(predicted(4), predicted(10), y)
    assert not gives_up_a_class(predicted(5), predicted(10), y)
    assert not gives_up_a_class(predicted(4), predicted(8), y)  # the other predicts it as rarely
    assert gives_up_a_class(predicted(4), predicted(20), y)
    assert not gives_up_a_class(predicted(0, 29), predicted(9, 29), y[:29])  # with nine labels nobody can tell


def test_rows_of_one_unit_are_as_good_as_one() -> None:
    """Ten copies of each example are no more than one of each."""
    rng = np.random.default_rng(0)
    group = torch.from_numpy(np.repeat([0, 1], [60, 60]))
    right, other = (torch.from_numpy(rng.random(120) < at) for at in (0.7, 0.6))
    r, o, g = (column.repeat_interleave(10) for column in (right, other, group))
    unit = torch.arange(120).repeat_interleave(10)
    once, alike, alone = paired_gain(right, other, group), paired_gain(r, o, g, unit), paired_gain(r, o, g)
    assert once.mean == pytest.approx(alike.mean)
    assert alike.error == pytest.approx(once.error, rel=0.05)
    assert alone.error == pytest.approx(once.error / np.sqrt(10), rel=0.05)
    assert paired_gain(right, other, group, torch.arange(120)) == pytest.approx(once)


def test_where_each_group_has_one_row_the_spread_is_that_of_all() -> None:
    right, other = torch.tensor([True, False, True, False] * 5), torch.tensor([False, True, False, False] * 5)
    gain = paired_gain(right, other, torch.arange(20))
    assert gain.mean == pytest.approx(0.25)
    assert gain.error == pytest.approx(float((right.double() - other.double()).std()) / np.sqrt(20), rel=0.01)


def test_of_many_classes_one_may_be_given_up_for_two() -> None:
    """Ten classes of 20 labels; a way that predicts none of a class predicts the next class instead."""
    y = torch.arange(200) // 20

    def without(*classes: int) -> torch.Tensor:
        return torch.where(torch.isin(y, torch.tensor(classes)), (y + 1) % 10, y)

    for own, other, more in (((0,), (2, 4), False), ((0,), (2,), True), ((0, 6), (2, 4, 8), True), ((), (2,), False)):
        assert gives_up_more(without(*own), without(*other), y) == more
        assert gives_up_a_class(without(*own), without(*other), y) == bool(own)
