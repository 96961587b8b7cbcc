"""Folds, splits and subsets: seeded, and every stratum in every part as far as it goes."""

from __future__ import annotations

import math
from unittest.mock import ANY

import pytest
import torch

from skedastic.data import Classes, Dataset, Grouping, folds, from_arrays, half, limit, open_source, split_rows
from tests.support.refusals import refused


def random_strata(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    group = torch.multinomial(torch.tensor([0.6, 0.3, 0.08, 0.02]), n, True, generator=generator)
    return group, torch.randint(3, (n,), generator=generator)


@pytest.mark.parametrize(("n", "k"), [(2, 2), (7, 7), (50, 3), (501, 5), (1000, 2)])
def test_folds_spread_every_stratum_evenly(n: int, k: int) -> None:
    group, y = random_strata(n, seed=n)
    fold = folds(group, y, k, seed=1)
    sizes = fold.bincount(minlength=k)
    assert sizes.max() - sizes.min() <= 1
    for g in range(4):
        for label in range(3):
            counts = fold[(group == g) & (y == label)].bincount(minlength=k)
            assert counts.max() - counts.min() <= 1
    assert torch.equal(fold, folds(group, y, k, seed=1))
    if n > 10:
        assert not torch.equal(fold, folds(group, y, k, seed=2))


def test_a_half_is_a_half() -> None:
    group, y = random_strata(101, seed=0)
    mask = half(group, y, seed=4)
    assert mask.dtype == torch.bool
    assert int(mask.sum()) in (50, 51)


def test_where_an_example_lands_is_random() -> None:
    group = y = torch.tensor([0] * 9 + [1])
    landed = {int(folds(group, y, 2, seed)[9]) for seed in range(20)}
    assert landed == {0, 1}, "the only one of its stratum"


@pytest.mark.parametrize("k", [0, 1, 11])
def test_an_impossible_number_of_folds_is_refused(k: int) -> None:
    with refused("folds", k, rule="[2, 10]"):
        folds(torch.zeros(10, dtype=torch.long), torch.zeros(10, dtype=torch.long), k, 0)


@pytest.mark.parametrize("fraction", [0.01, 0.2, 1 / 3, 0.5, 0.9, 0.999])
def test_every_class_is_in_both_parts(fraction: float) -> None:
    y = [0] * 100 + [1] * 30 + [2] * 2
    source = from_arrays(torch.rand(132, 2), y, groups=[i % 7 % 3 for i in range(132)])
    training, test = split_rows(source, fraction, seed=0)
    assert torch.equal(torch.cat([training, test]).sort().values, torch.arange(132))
    assert training.tolist() == sorted(training.tolist())
    for label, count in enumerate((100, 30, 2)):
        held_out = int((source.y[test] == label).sum())
        assert held_out == min(max(round(fraction * count), 1), count - 1)
        assert (source.y[training] == label).any()


def test_the_test_rows_spread_over_the_groups_and_singletons_stay_in_training() -> None:
    y = [0] * 100 + [1] * 100
    groups = ["a"] * 60 + ["b"] * 39 + ["only"] + ["b"] * 100
    source = from_arrays(torch.rand(200, 2), y, groups=groups)
    for seed in range(10):
        training, test = split_rows(source, 0.25, seed)
        names = [(source.groups[source.group[r]], int(source.y[r])) for r in test.tolist()]
        assert names.count(("only", 0)) == 0
        assert names.count(("a", 0)) in (15, 16)
        assert names.count(("b", 0)) in (9, 10)
        assert names.count(("b", 1)) == 25
        assert len(training) == 150


def test_groups_of_one_example_each_can_still_be_split() -> None:
    source = from_arrays(torch.rand(20, 2), [0, 1] * 10, groups=[str(i) for i in range(20)])
    _, test = split_rows(source, 0.3, seed=0)
    assert source.y[test].bincount().tolist() == [3, 3]


def test_the_split_depends_on_the_seed_alone() -> None:
    source = open_source("digits")
    a, b, c = (split_rows(source, 1 / 3, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert len(a) == pytest.approx(599, abs=5)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with refused("test", ANY if math.isnan(fraction) else fraction, rule="(0, 1)"):
        split_rows(open_source("digits"), fraction, 0)


def imbalanced(n: int = 1000) -> Dataset:
    y = torch.zeros(n, dtype=torch.long)
    y[:10], y[10] = 1, 2
    group = torch.arange(n) % 2
    return Dataset(
        torch.rand(n, 1), y, torch.arange(n) * 3, group, Classes(("a", "b", "c")), Grouping(("x", "y")), "table"
    )


@pytest.mark.parametrize("k", [2, 3, 4, 10])
@pytest.mark.parametrize("each", [1, 3])
def test_labels_are_even_in_folds_where_every_group_has_an_odd_number_of_each(k, each) -> None:
    """As with matched pairs: a group of two rows, one of each label."""
    group = torch.arange(500).repeat_interleave(2 * each)
    y = (torch.arange(2 * each) % 2).repeat(500)
    fold = folds(group, y, k, seed=0)
    for label in (0, 1):
        counts = torch.bincount(fold[y == label], minlength=k)
        assert counts.max() - counts.min() <= 1
    apart = [len(fold[group == g].unique()) for g in range(500)]
    assert sum(apart) > 1.3 * len(apart), "a group of two is not always in one fold"


def test_a_subset_keeps_its_strata_in_proportion_and_loses_no_class() -> None:
    data = imbalanced()
    subset = limit(data, 100, seed=0)
    assert len(subset) == 100
    assert subset.index.tolist() == sorted(subset.index.tolist())
    assert torch.equal(subset.x, data.x[subset.index // 3])
    counts = subset.y.bincount()
    assert counts[1] in (2, 3)
    assert counts[2] == 1
    assert int(((subset.y == 0) & (subset.group == 0)).sum()) == pytest.approx(48, abs=2)
    assert torch.equal(subset.index, limit(data, 100, seed=0).index)
    assert not torch.equal(subset.index, limit(data, 100, seed=1).index)
    assert len(limit(data, 5, seed=0)) == 5
    assert limit(data, 1000, seed=0) is data
    with refused("limit", 4, rule="5 in all"):
        limit(data, 4, seed=0)


def test_the_parts_of_a_dataset_have_one_length() -> None:
    with pytest.raises(ValueError, match="must have one length"):
        Dataset(
            torch.rand(3, 1), torch.zeros(2), torch.zeros(3), torch.zeros(3), Classes(("a",)), Grouping(("a",)), "table"
        )
