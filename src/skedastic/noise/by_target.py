"""The noise of each group, what was learned and the label issues, from held-out predictions, by the kind of target."""

from __future__ import annotations

from functools import singledispatch

import pandas as pd
import torch
from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.data import Classes, Dataset, Numbers, Target
from skedastic.evaluation.intervals import Interval
from skedastic.noise.confident import NOT_COUNTED, confident_class, match_counts, matched
from skedastic.noise.group_noise import group_stats
from skedastic.noise.group_variance import group_variance
from skedastic.noise.held_out import HeldOut, judged_rows
from skedastic.noise.label_issues import find_label_issues
from skedastic.noise.label_issues_regression import find_label_issues_regression
from skedastic.noise.learned import Learned, collapsed, learned_classes
from skedastic.noise.learned_regression import learned_numbers
from skedastic.noise.wrong_labels import wrong_label_shares
from skedastic.settings.config import Estimation


def held_out_predictions(dataset: Dataset, values: Tensor, fold: Tensor) -> HeldOut:
    """Return held-out predictions, of classes with each predicted as often as it is labelled beside them.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    values : Tensor
        Their predictions by models that were not trained on them, as `Target.predictions`; NaN where there are none.
    fold : Tensor
        The model that each comes from, [n]; -1 where there is none.
    """
    again = matched(values, dataset.y, fold) if isinstance(dataset.target, Classes) else None
    return HeldOut(values=values, fold=fold, matched=again)


def noise_stats(dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    """Return the noise and the density of each group.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    held_out : HeldOut
        Their held-out predictions.
    how : Estimation
        The errors that are counted, and whether the groups inform each other.
    """
    return _noise_stats(dataset.target, dataset, held_out, how)


def unknown_noise(dataset: Dataset) -> GroupStats:
    """Return the statistics of each group as if nothing had been held out.

    Parameters
    ----------
    dataset : Dataset
        The examples.
    """
    nothing = HeldOut(values=dataset.target.no_predictions(len(dataset)), fold=torch.full((len(dataset),), -1))
    return noise_stats(dataset, nothing, Estimation(kind="paper"))


def without_collapse(dataset: Dataset, held_out: Tensor, fold: Tensor) -> Tensor:
    """Return held-out predictions, of each model that puts nearly all rows into one class with a right mean.

    The mean probability of each class is then its share of the labels. Else folds that lean to different classes
    accuse each other's labels.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    held_out : Tensor
        Their held-out predictions, [n, C] or [n]; NaN where there are none.
    fold : Tensor
        The model that each comes from, [n]; -1 where there is none.
    """
    if not isinstance(dataset.target, Classes):
        return held_out
    found, told = held_out.clone(), ~held_out.isnan().any(1)
    for k in range(int(fold.max()) + 1):
        rows = ((fold == k) & told).nonzero().flatten()
        p, y = held_out[rows], dataset.y[rows]
        if collapsed(p.argmax(1).numpy(), y.numpy()):
            found[rows] = match_counts(p, y, sharpness=1.0).to(found.dtype)
    return found


def label_issues(dataset: Dataset, held_out: Tensor, stats: GroupStats) -> pd.DataFrame:
    """Return the held-out examples, the most suspect target first.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    held_out : Tensor
        Their held-out predictions, [n, C] or [n]; NaN where there are none.
    stats : GroupStats
        Of each group, as `noise_stats` returns them.
    """
    return _label_issues(dataset.target, dataset, held_out, stats)


def learned(dataset: Dataset, held_out: HeldOut) -> Learned:
    """Return what the held-out predictions show to have been learned; arguments as in `noise_stats`."""
    return _learned(dataset.target, dataset, held_out)


def wrong_labels(dataset: Dataset, held_out: HeldOut) -> tuple[list[Interval | None], list[str]]:
    """Return the share of wrong labels of each group, and why there is none, [G]; arguments as in `noise_stats`."""
    return _wrong_labels(dataset.target, dataset, held_out)


def count_errors(dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    """Return the error rate and the density of each group; arguments as in `noise_stats`."""
    if how.kind == "paper" or how.counted == "all":
        predicted, counted = held_out.values.argmax(1), ~held_out.values.isnan().any(1)
    else:
        predicted = confident_class(_matched(held_out), dataset.y)
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
def _noise_stats(target: Target, dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    raise TypeError(f"no noise is known of a target of {type(target).__name__}")


@_noise_stats.register
def _(target: Classes, dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    return count_errors(dataset, held_out, how)


@_noise_stats.register
def _(target: Numbers, dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    return measure_variance(dataset, held_out.values, shrink=how.kind != "paper")


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
def _learned(target: Target, dataset: Dataset, held_out: HeldOut) -> Learned:
    raise TypeError(f"it is not known what is learned of a target of {type(target).__name__}")


@_learned.register
def _(target: Classes, dataset: Dataset, held_out: HeldOut) -> Learned:
    rows, judged = judged_rows(dataset, held_out)
    return learned_classes(held_out.values[rows].numpy(), _matched(held_out).argmax(1)[rows].numpy(), judged)


@_learned.register
def _(target: Numbers, dataset: Dataset, held_out: HeldOut) -> Learned:
    rows, judged = judged_rows(dataset, held_out)
    binned = dataset.grouping.target_bins is not None
    return learned_numbers(held_out.values[rows].double().numpy(), judged, binned=binned)


@singledispatch
def _wrong_labels(target: Target, dataset: Dataset, held_out: HeldOut) -> tuple[list[Interval | None], list[str]]:
    raise TypeError(f"no wrong labels are known of a target of {type(target).__name__}")


@_wrong_labels.register
def _(target: Classes, dataset: Dataset, held_out: HeldOut) -> tuple[list[Interval | None], list[str]]:
    rows, judged = judged_rows(dataset, held_out)
    return wrong_label_shares([p[rows].numpy() for p in (held_out.values, _matched(held_out))], judged)


@_wrong_labels.register
def _(target: Numbers, dataset: Dataset, held_out: HeldOut) -> tuple[list[Interval | None], list[str]]:
    return [None] * len(dataset.groups), [""] * len(dataset.groups)


def _matched(held_out: HeldOut) -> Tensor:
    assert held_out.matched is not None, "held_out_predictions makes them for classes"
    return held_out.matched
