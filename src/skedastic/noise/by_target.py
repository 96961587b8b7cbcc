"""Noise, what was learned and label issues, from held-out predictions, by the kind of target."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, singledispatch

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.core.transitions import Transitions
from skedastic.data import Classes, Dataset, Numbers, Target
from skedastic.noise.group_noise import begun_lower, expected_rates, group_noise, towards_errors
from skedastic.noise.group_variance import group_variance
from skedastic.noise.held_out import HeldOut, judged_rows
from skedastic.noise.label_issues import first_of_groups, rank_label_issues
from skedastic.noise.label_issues_regression import find_label_issues_regression
from skedastic.noise.learned import Learned, learned_classes
from skedastic.noise.learned_regression import learned_numbers
from skedastic.noise.matching import matched
from skedastic.noise.overconfidence import labels_of_groups, overconfidence
from skedastic.noise.true_labels import TrueLabels, how_labels_go_wrong, largest_shares, true_labels, wrong_in_groups
from skedastic.noise.wrong_labels import DOUBTED, trusted
from skedastic.settings.config import Estimation


def held_out_predictions(dataset: Dataset, values: Tensor, fold: Tensor) -> HeldOut:
    """Return held-out predictions; of classes also with each predicted as often as labelled, and the true classes.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    values : Tensor
        Their predictions by models that were not trained on them, as `Target.predictions`; NaN where there are none.
    fold : Tensor
        The model that each comes from, [n]; -1 where there is none.
    """
    return _held_out_predictions(dataset.target, dataset, HeldOut(values=values, fold=fold))


def only(dataset: Dataset, held_out: HeldOut, usable: Tensor, folds: Tensor) -> HeldOut:
    """Return the predictions of the usable rows alone, as if there were no others.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    held_out : HeldOut
        Their held-out predictions.
    usable : Tensor
        Whether a row is kept, [n] bool; its fold is one of those that are kept.
    folds : Tensor
        Whether a fold is kept, [K] bool; those that are get the numbers 0, 1, ….
    """
    values = held_out.values.clone()
    values[~usable] = torch.nan
    return held_out_predictions(dataset, values, torch.where(usable, (folds.cumsum(0) - 1)[held_out.fold], -1))


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
    n = len(dataset)
    nothing = held_out_predictions(dataset, dataset.target.no_predictions(n), torch.full((n,), -1))
    return noise_stats(dataset, nothing, Estimation(kind="paper"))


def label_issues(
    dataset: Dataset, held_out: HeldOut, stats: GroupStats, judged: Tensor, most: Tensor | None = None
) -> pd.DataFrame:
    """Return the examples that can be judged, the most suspect target first.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    held_out : HeldOut
        Their held-out predictions.
    stats : GroupStats
        Of each group, as `noise_stats` returns them.
    judged : Tensor
        Whether an example's target can be judged by its prediction, [n] bool.
    most : Tensor, optional
        The largest share of each group's labels that may be called wrong by estimate, [G]; by default all. Numbers
        don't need it.
    """
    most = torch.ones(len(dataset.groups)) if most is None else most
    return _label_issues(dataset.target, dataset, held_out, stats, judged, most)


def learned(dataset: Dataset, held_out: HeldOut) -> Learned:
    """Return what the held-out predictions show to have been learned; arguments as in `noise_stats`."""
    return _learned(dataset.target, dataset, held_out)


def transitions(dataset: Dataset, held_out: HeldOut) -> Transitions | None:
    """Return how labels go wrong, None of numbers and of votes; arguments as in `noise_stats`."""
    return _transitions(dataset.target, dataset, held_out)


def like_another(dataset: Dataset, held_out: HeldOut) -> Tensor:
    """Return the largest share of each group's labels that are taken for wrong and one class's, [G] float64 in [0, 1].

    0 where targets are numbers, and of a group without predictions; arguments as in `noise_stats`.
    """
    truth = held_out.truth
    if truth is None:
        return torch.zeros(len(dataset.groups), dtype=torch.float64)
    p, y, fold, group = map(held_out.of_rows, (held_out.values, dataset.y, held_out.fold, dataset.group))
    return torch.from_numpy(largest_shares(truth.by, p, y, fold, group, len(dataset.groups)))


def surer_than_right(dataset: Dataset, held_out: HeldOut) -> Tensor:
    """Return by how much models are surer of labels than they are right, in each group, [G] float64 in [0, 1].

    0 where targets are numbers; arguments as in `noise_stats`.
    """
    groups = len(dataset.groups)
    if held_out.truth is None:
        return torch.zeros(groups, dtype=torch.float64)
    p, y, group = map(held_out.of_rows, (held_out.values, dataset.y, dataset.group))
    return torch.from_numpy(overconfidence(p, y, group, groups))


def label_stats(dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    """Return both quantities and the density of each group of labels; arguments as in `noise_stats`.

    Where a group is not of one label, its labels are as uncertain as they are wrong. The uncertainty is the error rate
    of all held-out predictions where `how` asks for the paper's.
    """
    truth, groups = _truth(held_out), len(dataset.groups)
    p, group, y, fold = map(held_out.of_rows, (held_out.values, dataset.group, dataset.y, held_out.fold))
    chance, apart = truth.wrong, truth.wrong_apart
    of_one_label = bool((labels_of_groups(y, group, groups) <= 1).all())
    if not of_one_label:
        chance, apart = (wrong_in_groups(values, group, groups) for values in (chance, apart))
    counted = dataset.grouping.counts(torch.from_numpy(group))
    errors = dataset.grouping.counts(torch.from_numpy(group[p.argmax(1) != y]))
    own = (errors.numpy() - np.bincount(group, chance, minlength=groups)) / counted.clamp_min(1).numpy()
    rates = partial(expected_rates, doubt=chance * (1 - chance), own=own, group=group, fold=fold)
    surer = surer_than_right(dataset, held_out).numpy()
    wrong = begun_lower(rates(chance, apart), surer)
    if how.counts_errors:
        uncertainty = group_noise(errors, counted, shrink=how.kind != "paper")
    elif of_one_label:
        known = rates(truth.uncertain, truth.uncertain_apart)
        uncertainty = begun_lower(towards_errors(known, errors.numpy(), counted.numpy()), surer)
    else:
        uncertainty = wrong
    columns = map(torch.from_numpy, (*uncertainty, *wrong))
    return GroupStats(dataset.groups, dataset.group_counts(), dataset.density(), errors, counted, *columns)


def measure_variance(dataset: Dataset, held_out: Tensor, *, shrink: bool = True) -> GroupStats:
    """Return the noise variance and the density of each group; held_out: predictions [n], NaN where there is none."""
    seen = ~held_out.isnan()
    residuals, group = (dataset.y - held_out)[seen].numpy(), dataset.group[seen]
    columns = map(torch.from_numpy, group_variance(residuals, group.numpy(), len(dataset.groups), shrink=shrink))
    counted = dataset.grouping.counts(group)
    return GroupStats(dataset.groups, dataset.group_counts(), dataset.density(), None, counted, *columns)


@singledispatch
def _held_out_predictions(target: Target, dataset: Dataset, held_out: HeldOut) -> HeldOut:
    raise TypeError(f"nothing is predicted of a target of {type(target).__name__}")


@_held_out_predictions.register
def _(target: Classes, dataset: Dataset, held_out: HeldOut) -> HeldOut:
    p, y, fold = map(held_out.of_rows, (held_out.values, dataset.y, held_out.fold))
    return replace(held_out, matched=matched(held_out.values, dataset.y, held_out.fold), truth=true_labels(p, y, fold))


@_held_out_predictions.register
def _(target: Numbers, dataset: Dataset, held_out: HeldOut) -> HeldOut:
    return held_out


@singledispatch
def _noise_stats(target: Target, dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    raise TypeError(f"no noise is known of a target of {type(target).__name__}")


@_noise_stats.register
def _(target: Classes, dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    return label_stats(dataset, held_out, how)


@_noise_stats.register
def _(target: Numbers, dataset: Dataset, held_out: HeldOut, how: Estimation) -> GroupStats:
    return measure_variance(dataset, held_out.values, shrink=how.kind != "paper")


@singledispatch
def _transitions(target: Target, dataset: Dataset, held_out: HeldOut) -> Transitions | None:
    raise TypeError(f"it is not known how a target of {type(target).__name__} goes wrong")


@_transitions.register
def _(target: Classes, dataset: Dataset, held_out: HeldOut) -> Transitions | None:
    if dataset.soft is not None:  # votes are trained on, and T would be that of their majority
        return None
    judged, p = judged_rows(dataset, held_out), held_out.of_rows(held_out.values)
    return how_labels_go_wrong(p, judged.y, judged.fold, judged.unit, _truth(held_out))


@_transitions.register
def _(target: Numbers, dataset: Dataset, held_out: HeldOut) -> None:
    return None


@singledispatch
def _label_issues(
    target: Target, dataset: Dataset, held_out: HeldOut, stats: GroupStats, judged: Tensor, most: Tensor
) -> pd.DataFrame:
    raise TypeError(f"no label issues are known of a target of {type(target).__name__}")


@_label_issues.register
def _(
    target: Classes, dataset: Dataset, held_out: HeldOut, stats: GroupStats, judged: Tensor, most: Tensor
) -> pd.DataFrame:
    truth, columns = _truth(held_out), (held_out.values, dataset.y, held_out.fold, dataset.index, dataset.group)
    p, y, fold, index, group = map(held_out.of_rows, columns)
    kept = held_out.of_rows(judged)
    if not kept.all():
        truth, (p, y, fold, index, group) = truth.of(kept), (column[kept] for column in (p, y, fold, index, group))
    stands = first_of_groups(truth.right, index, group, most.numpy())
    share = 1.0 if trusted(stats) else DOUBTED
    return rank_label_issues(truth, p, y, fold, index, target.classes, share, stands)


@_label_issues.register
def _(
    target: Numbers, dataset: Dataset, held_out: HeldOut, stats: GroupStats, judged: Tensor, most: Tensor
) -> pd.DataFrame:
    values = held_out.values.masked_fill(~judged, torch.nan)
    return find_label_issues_regression(values, dataset.y, dataset.index, stats.uncertainty[dataset.group])


@singledispatch
def _learned(target: Target, dataset: Dataset, held_out: HeldOut) -> Learned:
    raise TypeError(f"it is not known what is learned of a target of {type(target).__name__}")


@_learned.register
def _(target: Classes, dataset: Dataset, held_out: HeldOut) -> Learned:
    p, again = map(held_out.of_rows, (held_out.values, _matched(held_out)))
    return learned_classes(p, again, judged_rows(dataset, held_out))


@_learned.register
def _(target: Numbers, dataset: Dataset, held_out: HeldOut) -> Learned:
    binned = dataset.grouping.target_bins is not None
    predicted = held_out.of_rows(held_out.values).astype(np.float64)
    return learned_numbers(predicted, judged_rows(dataset, held_out), binned=binned)


def _matched(held_out: HeldOut) -> Tensor:
    assert held_out.matched is not None, "held_out_predictions makes them for classes"
    return held_out.matched


def _truth(held_out: HeldOut) -> TrueLabels:
    assert held_out.truth is not None, "held_out_predictions finds it for classes"
    return held_out.truth
