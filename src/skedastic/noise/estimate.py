"""The noise of each group: train on the other folds, predict the held-out one, count the errors.

Source: Cao et al. 2021, section 2.3, equation 7 and Algorithm 1, lines 1-4. The paper holds out one random half once
and counts all errors. Here by default every example is held out once (cross-fitting), the likely true classes are
found that explain the labels (`true_labels`), and the rates of small groups are shrunk toward the others
(`group_noise`). The likely true classes also tell which labels to check (`label_issues`).

In place of networks, classifiers of scikit-learn make the predictions where `Estimation.by` says so (`classifiers`); or
they are the user's own (`given_estimate`), and nothing is trained.

Where the groups are clusters, they are made of the inputs of the same models' last layers (`clusters`).

For numbers it is the variance of the held-out residuals (`group_variance`), and the largest residuals are suspect
(`label_issues_regression`). `by_target` tells the kinds apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd
import torch
from torch import Tensor, nn

from skedastic.core.choice import Gain, paired_gain
from skedastic.core.strengths import GroupStats
from skedastic.core.transitions import Transitions
from skedastic.data import Dataset, Features, Grouping, folds, half
from skedastic.methods.erm import ERM
from skedastic.methods.trees import Trees
from skedastic.noise.by_target import held_out_predictions, label_issues, noise_stats, transitions
from skedastic.noise.classifiers import class_probabilities, may_be_better
from skedastic.noise.clusters import Clusters, find_clusters
from skedastic.noise.findings import Findings, examine
from skedastic.noise.fold_networks import FoldNetworks, parted
from skedastic.noise.gross_errors import GrossErrors
from skedastic.noise.held_out import HeldOut
from skedastic.noise.label_issues_votes import find_vote_issues
from skedastic.noise.measured_noise import measured_stats
from skedastic.noise.tried import Tried
from skedastic.settings.config import Estimation
from skedastic.training import Checkpoints, TrainingConfig
from skedastic.training.config import Training
from skedastic.training.loop import Progress, Trained

SURE = 2.0  # standard errors, by which trees must be better than networks
AHEAD = 1.0  # standard errors, by which they must be on one fold, for the others to be tried

BY_TREES = "the noise was estimated by boosted trees, which predicted labels not seen better than networks of the model"


@dataclass(frozen=True, eq=False)
class Estimate:
    """The noise of a training set of n examples, by held-out predictions.

    Parameters
    ----------
    dataset : Dataset
        The training set, in its groups.
    stats : GroupStats
        Noise and density of each group.
    predictions : HeldOut
        Held-out predictions, and the true classes that they point to.
    seconds : float
        The time of training and predicting, with that of interrupted runs.
    findings : Findings
        What it may be said to have found.
    judged : Tensor
        Whether an example's target can be judged by its prediction, [n] bool.
    counted : HeldOut
        The predictions of the models that learned something.
    by : str
        What the predictions are of: "model", "hgb" and "logistic" as in `Estimation.by`, "pred_probs" where they are
        the user's own; "annotators" where there are none.
    clusters : Clusters or None
        The groups, where they are clusters.
    notes : tuple of str
        What the user is to know of it.
    tried : tuple of Tried
        The models that made predictions, which a method may be spared to train again.
    elsewhere : tuple of Tensor
        What each estimating model, or the first, predicts of other examples, as `estimate_groups` was asked to: one
        value of y each, [m].
    gross_errors : tuple of GrossErrors
        Examples that were set aside beforehand, where there are some: the first label issues.
    """

    dataset: Dataset
    stats: GroupStats
    predictions: HeldOut
    seconds: float
    findings: Findings
    judged: Tensor
    counted: HeldOut
    by: str
    clusters: Clusters | None = None
    notes: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    elsewhere: tuple[Tensor, ...] = ()
    gross_errors: tuple[GrossErrors, ...] = ()

    @cached_property
    def label_issues(self) -> pd.DataFrame:
        """The training examples, the most suspect label first (see `skedastic.noise.label_issues`).

        Those whose label can't be judged are left out: all of them where nothing was learned. The column
        `by_estimate` tells the issues that an estimate stands behind (`Findings.most_issues`). Where annotators measure
        the noise, their votes alone tell (see `skedastic.noise.label_issues_votes`).
        """
        d = self.dataset
        if not self.is_estimated and d.soft is not None:
            return find_vote_issues(d.soft, d.y, d.index, d.classes)
        found = self.findings
        clear = self.transitions is not None and self.transitions.clear
        issues = label_issues(d, self.predictions, found.stats, self.judged, found.most_issues(clear=clear))
        for set_aside in reversed(self.gross_errors):
            issues = set_aside.before(issues)
        return issues

    @cached_property
    def transitions(self) -> Transitions | None:
        """How labels go wrong; None of numbers and of votes, and where nothing was held out or learned."""
        return transitions(self.dataset, self.counted) if self.is_estimated and self.findings.learned else None

    @property
    def held_out(self) -> Tensor:
        """The predictions: class probabilities [n, C], or [n] in the target's units; NaN where there are none."""
        return self.predictions.values

    @property
    def fold(self) -> Tensor:
        """The model that each example was held out from, [n]; -1 where there is none."""
        return self.predictions.fold

    @cached_property
    def measured(self) -> GroupStats | None:
        """The noise by the annotators, beside the estimate; None where there are none, or the estimate is theirs."""
        d = self.dataset
        return None if d.disagreement is None or not self.is_estimated else measured_stats(d, d.disagreement)

    @property
    def is_estimated(self) -> bool:
        """Whether any model was held out from some examples, and not annotators alone tell."""
        return bool((self.fold >= 0).any())


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
    tried: Sequence[Tried] = (),
    elsewhere: Features | None = None,
) -> Estimate:
    """Estimate the noise and the density of each group of a training set, by training on parts of it.

    A group that is never counted gets the estimate of the groups at large, with an interval that says so.

    Parameters
    ----------
    dataset : Dataset
        The n training examples.
    make_net : callable
        Makes the network.
    training : TrainingConfig
        The training configuration of the run; `how.epochs` shortens it.
    how : Estimation
        The kind of the estimate, its folds, and the errors that are counted.
    seed : int, optional
        Of the folds and of the estimating models.
    progress : callable or None, optional
        Told of each epoch.
    checkpoints : Checkpoints or None, optional
        Keep the estimating networks, so that an interrupted estimate goes on. Classifiers are fitted again.
    clusters : int or None, optional
        The number of clusters of each class, which become the groups; needs `how.kind` "cross-fit" and networks.
    tried : sequence of Tried, optional
        Models that were trained on parts of it before, and are not trained again.
    elsewhere : Features, optional
        Other examples that the models are to predict, such as those of a test set.

    Raises
    ------
    UserError
        There are fewer examples than folds, or clusters can't be made.
    """
    if how.kind == "annotators":
        return _measured(dataset)
    if how.kind == "paper":
        fold = half(dataset.group, dataset.strata, seed, dataset.unit).long() - 1
    else:
        fold = folds(dataset.group, dataset.strata, how.folds, seed, dataset.unit)
    models = int(fold.max()) + 1
    training = training.settled()
    short = replace(training, epochs=how.epochs_of(training))
    held_out = dataset.target.no_predictions(len(dataset))
    seconds, networks, known, of_others, notes = 0.0, list[Trained](), list(tried), list[Tensor](), list[str]()
    if not how.of_networks:
        start = time.perf_counter()
        for k in range(models):
            held_out[fold == k] = _by_classifier(how, dataset, fold, k, seed)
            if progress is not None:
                progress(f"estimate {k + 1}/{models}", 1, 1)
        seconds = time.perf_counter() - start
    if how.of_networks:
        of_folds = FoldNetworks(dataset, fold, make_net, short, seed, progress, checkpoints, elsewhere)
        for found in of_folds.into(held_out, whole=clusters is not None):
            known.append(Tried(ERM(), short.epochs, found.others, found.rows, held_out))
            of_others += [] if found.elsewhere is None else [found.elsewhere]
            networks += [] if found.trained is None else [found.trained]
            seconds, notes = seconds + found.seconds, [*notes, *found.notes]
    groups = None
    if clusters is None and may_be_better(how, dataset):
        start = time.perf_counter()
        values, own = _by_better_trees(how, dataset, fold, seed, held_out, tried)
        known += own
        if values is not None:
            how, held_out, notes = replace(how, by="hgb", epochs=None), values, [*notes, BY_TREES]
        seconds += time.perf_counter() - start
    if clusters is not None:
        start = time.perf_counter()
        groups, group = find_clusters(dataset, fold, networks, clusters, seed)
        dataset = replace(dataset, group=group, grouping=Grouping(groups.names))
        seconds += time.perf_counter() - start
    if elsewhere is not None and not how.of_networks:
        rest = dataset.subset(parted(fold, 0)[0])
        of_others = [dataset.target.best(class_probabilities(how, rest, elsewhere, seed + 1))]
    estimated = _estimate(dataset, held_out, fold, how, training)
    stand_in = tuple(known) if dataset.soft is None else ()  # else a method may learn other targets
    return replace(
        estimated, seconds=seconds, clusters=groups, notes=tuple(notes), tried=stand_in, elsewhere=tuple(of_others)
    )


def networks_are_kept(how: Estimation, training: Training, checkpoints: Checkpoints) -> bool:
    """Return whether checkpoints have all networks of an estimate; parameters as of `estimate_groups`."""
    models = 1 if how.kind == "paper" else how.folds
    kept = (checkpoints.of(f"estimate-{k}") for k in range(1, models + 1))
    return all(network.has_ended("1-train", how.epochs_of(training)) for network in kept)


def _by_classifier(how: Estimation, dataset: Dataset, fold: Tensor, k: int, seed: int) -> Tensor:
    """Return the predictions of a fold, [m, C], by a classifier of the others."""
    others, rows = parted(fold, k)
    return class_probabilities(how, dataset.subset(others), dataset.subset(rows).x, seed + k + 1)


def _by_better_trees(
    how: Estimation, dataset: Dataset, fold: Tensor, seed: int, held_out: Tensor, tried: Sequence[Tried]
) -> tuple[Tensor | None, list[Tried]]:
    """Return held-out predictions by trees, [n, C], or None where networks are as good; and the trees that are new.

    The trees of the first half are the first, which the trials of a method begin with as well.
    """
    trees, values, own = replace(how, by="hgb", epochs=None), torch.full_like(held_out, torch.nan), list[Tried]()
    alike = not dataset.ids and dataset.soft is None  # the method takes ids for numbers, and may learn other targets
    for k in reversed(range(how.folds)):
        others, rows = parted(fold, k)
        same = (model.values for model in tried if alike and model.is_like(Trees(), 1, others, rows))
        there = next(same, None)
        values[rows] = _by_classifier(trees, dataset, fold, k, seed) if there is None else there
        if alike and there is None:
            own.append(Tried(Trees(), 1, others, rows, values))
        sure = SURE if k == 0 else AHEAD
        known = (fold >= k).nonzero().flatten()
        gain = _gain_in_accuracy(values[known], held_out[known], dataset.subset(known))
        if gain.mean <= sure * gain.error:
            return None, own
    return values, own


def _gain_in_accuracy(values: Tensor, others: Tensor, dataset: Dataset) -> Gain:
    """Return how much more often predictions [n, C] give the label than others do."""
    right, other = (p.argmax(1) == dataset.y for p in (values, others))
    return paired_gain(right, other, torch.zeros_like(dataset.y), dataset.unit)


def given_estimate(dataset: Dataset, probabilities: Tensor, how: Estimation) -> Estimate:
    """Estimate the noise and the density of each group by the user's own predictions; nothing is trained.

    They count as those of one model: nothing is known of the models that made them.

    Parameters
    ----------
    dataset : Dataset
        The n training examples; its targets are classes.
    probabilities : Tensor
        Class probabilities of each example by models that were not trained on it, [n, C] float32.
    how : Estimation
        The errors that are counted.
    """
    fold = torch.zeros(len(dataset), dtype=torch.int64)
    return _estimate(dataset, probabilities, fold, how, None)


def _estimate(dataset: Dataset, values: Tensor, fold: Tensor, how: Estimation, training: Training | None) -> Estimate:
    """Return the estimate by held-out predictions; training is None where these are the user's."""
    predictions = held_out_predictions(dataset, values, fold)
    stats = noise_stats(dataset, predictions, how)
    findings, judged, counted = examine(dataset, predictions, how, stats, training)
    by = "pred_probs" if training is None else how.by or "model"
    return Estimate(dataset, stats, predictions, 0.0, findings, judged, counted, by)


def _measured(dataset: Dataset) -> Estimate:
    """Return the noise by the annotators; nothing is held out."""
    assert dataset.disagreement is not None, "the pipeline refuses it where there are no annotators"
    n = len(dataset)
    nothing = HeldOut(values=dataset.target.no_predictions(n), fold=torch.full((n,), -1))
    stats = measured_stats(dataset, dataset.disagreement)
    findings = Findings.without_predictions(stats)
    return Estimate(dataset, stats, nothing, 0.0, findings, torch.ones(n, dtype=torch.bool), nothing, "annotators")
