"""How noisy each group is: train on the other folds, predict the held-out one, count the errors.

Source: Cao et al. 2021, section 2.3, equation 7 and Algorithm 1, lines 1-4. The paper holds out one random half once
and counts all errors; here by default every example is held out once (cross-fitting), the predictions that are sure
enough are counted (`confident`), and the error rates of small groups are shrunk toward the others (`group_noise`). The
held-out probabilities also tell which labels to check (`suspects`).

Where the groups are clusters, they are made of what the same models' last layers read (`clusters`).

Of real targets it is the variance of the held-out residuals (`group_variance`), and the largest are suspect
(`suspects_real`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd
import torch
from torch import Tensor, nn

from skedastic.core.strengths import GroupStats
from skedastic.data import Dataset, folds, half
from skedastic.methods.erm import ERM
from skedastic.noise.clusters import Clusters, find_clusters
from skedastic.noise.confident import NOT_COUNTED, confident_class, match_counts
from skedastic.noise.group_noise import group_stats
from skedastic.noise.group_variance import group_variance
from skedastic.noise.label_issues import find_label_issues
from skedastic.noise.label_issues_regression import find_label_issues_regression
from skedastic.noise.measured_noise import measured_stats
from skedastic.settings.config import Estimation
from skedastic.training import Checkpoints, TrainingConfig, train
from skedastic.training.loop import Progress, Trained


@dataclass(frozen=True, eq=False)
class Estimate:
    """What held-out predictions say of a training set of n examples.

    stats: noise and density of each group. held_out: class probabilities [n, C], or predictions [n] in the target's
    units, by a model that was not trained on the example; NaN where it was never held out.
    fold: [n] the model that each was held out from, -1 where there is none.
    seconds: what training and predicting took, in interrupted runs too. clusters: the groups, where they were found on the
    way; `dataset` has them.
    """

    dataset: Dataset
    stats: GroupStats
    held_out: Tensor
    fold: Tensor
    seconds: float
    clusters: Clusters | None = None

    @cached_property
    def suspects(self) -> pd.DataFrame:
        """The training examples, the most suspect label first (see `skedastic.noise.label_issues`)."""
        d = self.dataset
        if d.scale is not None:
            return find_label_issues_regression(self.held_out, d.y, d.index, self.stats.noise[d.group])
        return find_label_issues(self.held_out, d.y, d.index, d.classes)

    @cached_property
    def measured(self) -> GroupStats | None:
        """What annotators say of the noise, beside the estimate; None where there are none, or the estimate is theirs."""
        d = self.dataset
        return None if d.disagreement is None or (self.fold < 0).all() else measured_stats(d, d.disagreement)


def estimate_groups(
    dataset: Dataset,
    make_net: Callable[[], nn.Module],
    training: TrainingConfig,
    how: Estimation,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    clusters: int | None = None,
) -> Estimate:
    """Estimate the noise and the density of each group of `dataset` by plain training on parts of it.

    A group that is never counted gets the estimate of the groups at large, with an interval that says so.
    checkpoints: of the estimating models, kept and gone on from. clusters: how many to put each class into, and take for
    the groups; needs `how.kind` "cross-fit".
    """
    if how.kind == "annotators":
        return _measured(dataset)
    if how.kind == "paper":
        fold = half(dataset.group, dataset.strata, seed, dataset.unit).long() - 1
    else:
        fold = folds(dataset.group, dataset.strata, how.folds, seed, dataset.unit)
    models = int(fold.max()) + 1
    short = replace(training, epochs=how.epochs_of(training))
    if dataset.scale is None:
        held_out = torch.full((len(dataset), len(dataset.classes)), torch.nan)
    else:
        held_out = torch.full((len(dataset),), torch.nan, dtype=torch.float64)
    seconds, networks = 0.0, list[Trained]()
    for k in range(models):
        rest = dataset.subset((fold != k).nonzero().flatten())
        report = None if progress is None else _named(progress, f"estimate {k + 1}/{models}")
        kept = None if checkpoints is None else checkpoints.of(f"estimate-{k + 1}")
        trained = train(ERM(), rest, make_net, short, seed=seed + k + 1, progress=report, checkpoints=kept)
        start = time.perf_counter()
        rows = (fold == k).nonzero().flatten()
        held_out[rows] = trained.predict(dataset.subset(rows).x)
        seconds += trained.seconds + time.perf_counter() - start
        if clusters is not None:
            networks.append(trained)
    found = None
    if clusters is not None:
        start = time.perf_counter()
        found, group = find_clusters(dataset, fold, networks, clusters, seed)
        dataset = replace(dataset, group=group, groups=found.names, bins=None)
        seconds += time.perf_counter() - start
    if dataset.scale is None:
        stats = count_errors(dataset, held_out, fold, how)
    else:
        stats = measure_variance(dataset, held_out, shrink=how.kind != "paper")
    return Estimate(dataset, stats, held_out, fold, seconds, found)


def _measured(dataset: Dataset) -> Estimate:
    """Return what annotators say of the noise; their votes, or mean ratings, stand for held-out predictions."""
    assert dataset.disagreement is not None, "the pipeline refuses it where there are no annotators"
    held_out = dataset.y.double() if dataset.soft is None else dataset.soft.clone()
    if dataset.scale is not None:
        held_out = torch.full((len(dataset),), torch.nan, dtype=torch.float64)
    stats = measured_stats(dataset, dataset.disagreement)
    return Estimate(dataset, stats, held_out, torch.full((len(dataset),), -1), 0.0)


def count_errors(dataset: Dataset, probabilities: Tensor, fold: Tensor, how: Estimation) -> GroupStats:
    """Return the noise and the density of each group; probabilities [n, C] and fold [n] as in `Estimate`."""
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
    counted = torch.bincount(group, minlength=len(dataset.groups))
    return GroupStats(dataset.groups, dataset.group_counts(), dataset.density(), None, counted, *columns)


def _named(progress: Progress, name: str) -> Progress:
    return lambda _, done, total: progress(name, done, total)
