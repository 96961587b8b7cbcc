"""The noise of each group, what was learned and the label issues, from held-out predictions, by the kind of target."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.data import Classes, Dataset, Numbers, Target
from skedastic.evaluation.intervals import Interval
from skedastic.noise.confident import NOT_COUNTED, confident_class, matched
from skedastic.noise.group_noise import group_stats
from skedastic.noise.group_variance import group_variance
from skedastic.noise.label_issues import find_label_issues
from skedastic.noise.label_issues_regression import find_label_issues_regression
from skedastic.noise.learned import Learned, learned_classes
from skedastic.noise.learned_regression import learned_numbers
from skedastic.noise.wrong_labels import wrong_labels as share_of_wrong_labels
from skedastic.settings.config import Estimation

Array = NDArray[Any]


def noise_stats(dataset: Dataset, held_out: Tensor, fold: Tensor, how: Estimation) -> GroupStats:
    """Return the noise and the density of each group.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    held_out : Tensor
        Their predictions by models that were not trained on them, as `Target.predictions`; NaN where there are none.
    fold : Tensor
        The model that each comes from, [n]; -1 where there is none.
    how : Estimation
        The errors that are counted, and whether the groups inform each other.
    """
    return _noise_stats(dataset.target, dataset, held_out, fold, how)


def unknown_noise(dataset: Dataset) -> GroupStats:
    """Return the statistics of each group as if nothing had been held out.

    Parameters
    ----------
    dataset : Dataset
        The examples.
    """
    nothing = dataset.target.no_predictions(len(dataset))
    return noise_stats(dataset, nothing, torch.full((len(dataset),), -1), Estimation(kind="paper"))


def label_issues(dataset: Dataset, held_out: Tensor, stats: GroupStats) -> pd.DataFrame:
    """Return the held-out examples, the most suspect target first.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    held_out : Tensor
        As in `noise_stats`.
    stats : GroupStats
        Of each group, as `noise_stats` returns them.
    """
    return _label_issues(dataset.target, dataset, held_out, stats)


def learned(dataset: Dataset, held_out: Tensor, fold: Tensor) -> Learned:
    """Return what the held-out predictions show to have been learned; arguments as in `noise_stats`."""
    return _learned(dataset.target, dataset, held_out, fold)


def wrong_labels(dataset: Dataset, held_out: Tensor, fold: Tensor) -> tuple[list[Interval | None], list[str]]:
    """Return the share of wrong labels of each group, and why there is none, [G]; arguments as in `noise_stats`."""
    return _wrong_labels(dataset.target, dataset, held_out, fold)


def count_errors(dataset: Dataset, probabilities: Tensor, fold: Tensor, how: Estimation) -> GroupStats:
    """Return the error rate and the density of each group; arguments as in `noise_stats`."""
    if how.kind == "paper" or how.counted == "all":
        predicted, counted = probabilities.argmax(1), ~probabilities.isnan().any(1)
    else:
        predicted = confident_class(matched(probabilities, dataset.y, fold), dataset.y)
        counted = predicted != NOT_COUNTED
    return group_stats(dataset.group, predicted != dataset.y, counted, dataset.groups, shrink=how.kind != "paper")


def measure_variance(dataset: Dataset, held_out: Tensor, *, shrink: bool = True) -> GroupStats:
    """Return the noise variance and the density of each group; held_out: predictions [n], NaN where there is none."""
    seen = ~held_out.isnan()
    residuals, group = (dataset.y - held_out)[seen].numpy(), dataset.group[seen]
    columns = map(torch.from_numpy, group_variance(residuals, group.numpy(), len(dataset.groups), shrink=shrink))
    counted = dataset.grouping.counts(group)
    return GroupStats(dataset.groups, dataset.group_counts(), dataset.density(), None, counted, *columns)


@singledispatch
def _noise_stats(target: Target, dataset: Dataset, held_out: Tensor, fold: Tensor, how: Estimation) -> GroupStats:
    raise TypeError(f"no noise is known of a target of {type(target).__name__}")


@_noise_stats.register
def _(target: Classes, dataset: Dataset, held_out: Tensor, fold: Tensor, how: Estimation) -> GroupStats:
    return count_errors(dataset, held_out, fold, how)


@_noise_stats.register
def _(target: Numbers, dataset: Dataset, held_out: Tensor, fold: Tensor, how: Estimation) -> GroupStats:
    return measure_variance(dataset, held_out, shrink=how.kind != "paper")


@singledispatch
def _label_issues(target: Target, dataset: Dataset, held_out: Tensor, stats: GroupStats) -> pd.DataFrame:
    raise TypeError(f"no label issues are known of a target of {type(target).__name__}")


@_label_issues.register
def _(target: Classes, dataset: Dataset, held_out: Tensor, stats: GroupStats) -> pd.DataFrame:
    return find_label_issues(held_out, dataset.y, dataset.index, target.classes)


@_label_issues.register
def _(target: Numbers, dataset: Dataset, held_out: Tensor, stats: GroupStats) -> pd.DataFrame:
    return find_label_issues_regression(held_out, dataset.y, dataset.index, stats.noise[dataset.group])


@singledispatch
def _learned(target: Target, dataset: Dataset, held_out: Tensor, fold: Tensor) -> Learned:
    raise TypeError(f"it is not known what is learned of a target of {type(target).__name__}")


@_learned.register
def _(target: Classes, dataset: Dataset, held_out: Tensor, fold: Tensor) -> Learned:
    again = matched(held_out, dataset.y, fold)
    rows, columns = _predicted(dataset, held_out, fold)
    return learned_classes(held_out[rows].double().numpy(), again[rows].numpy(), *columns)


@_learned.register
def _(target: Numbers, dataset: Dataset, held_out: Tensor, fold: Tensor) -> Learned:
    rows, columns = _predicted(dataset, held_out, fold)
    binned = dataset.grouping.target_bins is not None
    return learned_numbers(held_out[rows].double().numpy(), *columns, binned=binned)


@singledispatch
def _wrong_labels(
    target: Target, dataset: Dataset, held_out: Tensor, fold: Tensor
) -> tuple[list[Interval | None], list[str]]:
    raise TypeError(f"no wrong labels are known of a target of {type(target).__name__}")


@_wrong_labels.register
def _(target: Classes, dataset: Dataset, held_out: Tensor, fold: Tensor) -> tuple[list[Interval | None], list[str]]:
    again = matched(held_out, dataset.y, fold)
    rows, (y, folds, group, groups, _) = _predicted(dataset, held_out, fold)
    readings = (held_out[rows].double().numpy(), again[rows].numpy())
    return share_of_wrong_labels(readings, y, folds, group, groups)


@_wrong_labels.register
def _(target: Numbers, dataset: Dataset, held_out: Tensor, fold: Tensor) -> tuple[list[Interval | None], list[str]]:
    return [None] * len(dataset.groups), [""] * len(dataset.groups)


def _predicted(
    dataset: Dataset, held_out: Tensor, fold: Tensor
) -> tuple[Tensor, tuple[Array, Array, Array, int, Array]]:
    """Return the rows that have a prediction [m], and their targets, folds, groups, G and units, each [m]."""
    rows = ((fold >= 0) & ~held_out.reshape(len(dataset), -1).isnan().any(1)).nonzero().flatten()
    unit = torch.arange(len(dataset)) if dataset.unit is None else dataset.unit
    y, folds, group, units = (column[rows].numpy() for column in (dataset.y, fold, dataset.group, unit))
    return rows, (y, folds, group, len(dataset.groups), units)
