"""The noise of each group and the label issues, from held-out predictions, by the kind of the target."""

from __future__ import annotations

from functools import singledispatch

import pandas as pd
import torch
from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.data import Classes, Dataset, Numbers, Target
from skedastic.noise.confident import NOT_COUNTED, confident_class, match_counts
from skedastic.noise.group_noise import group_stats
from skedastic.noise.group_variance import group_variance
from skedastic.noise.label_issues import find_label_issues
from skedastic.noise.label_issues_regression import find_label_issues_regression
from skedastic.settings.config import Estimation


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


def count_errors(dataset: Dataset, probabilities: Tensor, fold: Tensor, how: Estimation) -> GroupStats:
    """Return the error rate and the density of each group; arguments as in `noise_stats`."""
    if how.kind == "paper" or how.counted == "all":
        predicted, counted = probabilities.argmax(1), ~probabilities.isnan().any(1)
    else:
        matched = torch.full(probabilities.shape, torch.nan, dtype=torch.float64)
        for k in range(int(fold.max()) + 1):
            matched[fold == k] = match_counts(probabilities[fold == k], dataset.y[fold == k])
        predicted = confident_class(matched, dataset.y)
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
