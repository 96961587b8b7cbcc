"""Whether anything was learned: held-out class probabilities against the labels that they were made for.

An estimate of noise says something of labels only where the models that it comes from have learned something. A model
that puts every row into one class disagrees with all other labels, and none of these need be wrong.

Three questions are asked of held-out probabilities p [n, C] and labels y.

1. Do they go together at all? s_i(c) is the rank of p_i(c) among the rows of the fold, centred and divided by their
   number. Were the labels unrelated to the predictions, every order of the labels of a fold would be equally likely,
   and S = Σ_i s_i(y_i) would have mean 0 and a variance that is known exactly (Hoeffding, "A combinatorial central
   limit theorem", 1951): V = m/(m − 1) Σ_i Σ_c f_c (s_i(c) − Σ_b f_b s_i(b))², f_c the share of label c in the m rows.
   z = Σ_k S_k / (Σ_k V_k)^{1/2} over folds is compared with a normal distribution, one-sided. For two classes S is the
   statistic of Mann and Whitney, so a model that ranks a rare class well passes, though it never predicts it. Rows of
   one unit are not exchangeable: there V is at least the sum of the squared sums over units.
2. Are they better than the majority class? McNemar's exact test, one-sided: of the rows where the predicted class and
   the fold's most frequent label are not both right or both wrong, more go to the prediction.
3. Or are they worth something once each class is predicted as often as it is labelled (`matching.class_weights`)?
   Cohen's kappa of these predictions and the labels, less 1.64 standard errors, is above 0.05. Under strong imbalance
   or noise a good model can be no more accurate than the majority class, and passes here. Where the predicted classes
   have collapsed to one (all others together are predicted less than a tenth as often as they are labelled), the
   ranks are what is left of the model, and kappa must be above 0.2.

Something was learned where 1 holds, and 2 or 3. Levels: 1 % for the whole and 5 % for a fold. A fold is left out where
it fails and its kappa is, by a one-sided test at 5 %, less than half of that of the other folds: a fold that is only
small stays.

A group is learned where 1 holds for its rows at 2.5 %. Where its rows have several labels, these are permuted within
fold and group: a model that knows the most frequent label of a group and no more has not learned the group. Where they
have one label c, s_i(c) of its rows is compared with that of all rows of the fold (Mann and Whitney again).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import binom, rankdata

from skedastic.noise.blocks import blocks
from skedastic.noise.held_out import Integers, Judged
from skedastic.noise.overconfidence import labels_of_groups

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

LEVEL, FOLD_LEVEL, GROUP_LEVEL = 0.01, 0.05, 0.025
LEAST_KAPPA, LEAST_COLLAPSED = 0.05, 0.2
COLLAPSED = 0.1  # of the rows of other labels than the one that is predicted most
ONE_SIDED = 1.645  # standard errors, 5 %


class Learned(NamedTuple):
    """What held-out predictions show to have been learned.

    Parameters
    ----------
    whole : bool
        Whether anything was.
    folds : ndarray
        Whether each of K folds counts, [K] bool.
    groups : ndarray
        Whether each group is predicted better than by the prior, [G] bool.
    classes : ndarray or None
        The same of each class, [C] bool; None where targets are numbers.
    collapsed : bool
        Whether nearly all rows of some fold that fails are put into one class.
    """

    whole: bool
    folds: Booleans
    groups: Booleans
    classes: Booleans | None
    collapsed: bool = False


class Evidence(NamedTuple):
    """A statistic that is 0 in the mean where nothing was learned: the parts of its rows [m], and its variance."""

    parts: Floats
    variance: float


def learned_classes(probabilities: NDArray[np.floating[Any]], again: Integers, judged: Judged) -> Learned:
    """Return whether the whole, each fold, each group and each class were learned (see above).

    Ranks are made of some columns at a time, and what is kept of them is [n] and [C].

    Parameters
    ----------
    probabilities : ndarray
        Held-out class probabilities, [n, C], all finite.
    again : ndarray
        The class that each row is predicted as where each is as frequent as its label, by `matched`, [n] in 0..C-1.
    judged : Judged
        The n rows.
    """
    classes, y, fold, in_fold = probabilities.shape[1], judged.y, judged.fold, judged.in_fold
    folds, predicted = len(in_fold), probabilities.argmax(1).astype(np.int32)
    ranked = [_ranked(probabilities, rows, judged) for rows in in_fold]
    majority = np.array([np.bincount(y[rows], minlength=classes).argmax() for rows in in_fold])
    kappas = [kappa(again[rows], y[rows], classes) for rows in in_fold]

    def passes(chosen: list[int], level: float) -> bool:
        rows = np.isin(fold, chosen)
        if not clear([ranked[k].whole for k in chosen], units_of(judged, [in_fold[k] for k in chosen]), level):
            return False
        right, simple = predicted[rows] == y[rows], majority[fold[rows]] == y[rows]
        value, error = kappa(again[rows], y[rows], classes)
        least = LEAST_COLLAPSED if collapsed(predicted[rows], y[rows]) else LEAST_KAPPA
        return better(right, simple, level) or value - ONE_SIDED * error > least

    every = list(range(folds))
    whole = bool(folds) and passes(every, LEVEL)
    kept = np.ones(folds, dtype=bool)
    for k in every if whole and folds > 1 else ():
        others = [j for j in every if j != k]
        kept[k] = passes([k], FOLD_LEVEL) or not _far_below(kappas[k], [kappas[j] for j in others])
    failed = [rows for k, rows in enumerate(in_fold) if not (whole and kept[k])]
    shrunk = any(collapsed(predicted[rows], y[rows]) for rows in failed)
    if not whole:
        return Learned(whole, kept, np.zeros(judged.groups, dtype=bool), np.zeros(classes, dtype=bool), shrunk)
    used = [k for k in every if kept[k]]
    rows, found = [in_fold[k] for k in used], [ranked[k] for k in used]
    by_class = _groups(found, judged._replace(group=y, groups=classes), rows)
    same = judged.groups == classes and np.array_equal(judged.group, y)
    return Learned(whole, kept, by_class if same else _groups(found, judged, rows), by_class, shrunk)


class _Ranked(NamedTuple):
    """What is kept of the scores [m, C] of the rows of a fold.

    whole: the evidence that they go with the labels. parts, variance: the same within each group, [m] and [G]; None
    where no group has several labels. own: the score of each label, [m]. mean, spread: of each column, [C].
    """

    whole: Evidence
    parts: Floats | None
    variance: Floats | None
    own: Floats
    mean: Floats
    spread: Floats


def _ranked(probabilities: NDArray[np.floating[Any]], rows: Integers, judged: Judged) -> _Ranked:
    """Return what is kept of the scores of some rows, [m], those of a fold."""
    y, group, classes = judged.y[rows], judged.group[rows], probabilities.shape[1]
    whole = _Together(y, np.zeros(len(y), dtype=np.int64), 1)
    within = _Together(y, group, judged.groups) if (labels_of_groups(y, group, judged.groups) > 1).any() else None
    own, mean, spread = np.zeros(len(y)), np.zeros(classes), np.zeros(classes)
    for columns in blocks(classes, len(y)):
        scores = centred_ranks(probabilities[rows, columns])
        mean[columns], spread[columns] = scores.mean(0), scores.var(0)
        here = np.flatnonzero((y >= columns.start) & (y < columns.stop))
        own[here] = scores[here, y[here] - columns.start]
        for evidence in (whole, within):
            if evidence is not None:
                evidence.add(scores, columns.start)
    parts, variance = (None, None) if within is None else within.found()
    all_parts, of_all = whole.found()
    return _Ranked(Evidence(all_parts, float(of_all[0])), parts, variance, own, mean, spread)


def centred_ranks(values: NDArray[np.floating[Any]]) -> Floats:
    """Return the rank of each value in its column, less the mean rank and divided by m, [m, C]; equals share theirs."""
    m = max(1, len(values))
    ranks: Floats = (rankdata(values, axis=0) - (len(values) + 1) / 2) / m
    return ranks


def together(scores: Floats, y: Integers) -> Evidence:
    """Return the evidence that scores [m, C] go with labels y [m], against all orders of these (question 1)."""
    evidence = _Together(y, np.zeros(len(y), dtype=np.int64), 1)
    evidence.add(scores, 0)
    parts, variance = evidence.found()
    return Evidence(parts, float(variance[0]))


class _Together:
    """The evidence that scores go with labels within each group, gathered from some columns of the scores at a time.

    With d_i(c) the score of row i less the mean of column c in the group, and f_c the share of label c in it, the part
    of a row is d_i(y_i) − Σ_c f_c d_i(c), and its share of the variance Σ_c f_c d_i(c)² − (Σ_c f_c d_i(c))².

    Parameters
    ----------
    y, group : ndarray
        The labels and the groups of the rows, [m]; groups are in 0..G-1.
    groups : int
        G.
    """

    def __init__(self, y: Integers, group: Integers, groups: int) -> None:
        self.order = np.argsort(group, kind="stable").astype(np.int32)
        self.y, (self.names, self.first, self.of, self.size) = y[self.order], _starts(group[self.order])
        self.groups = groups
        self.own, self.mean, self.square = (np.zeros(len(y)) for _ in range(3))

    def add(self, scores: Floats, start: int) -> None:
        """Add the scores [m, b] of the classes from `start` on."""
        if not len(self.y):
            return
        width = scores.shape[1]
        here = np.flatnonzero((self.y >= start) & (self.y < start + width))
        cells = self.of[here] * width + (self.y[here] - start)
        share = np.bincount(cells, minlength=len(self.first) * width).reshape(-1, width) / self.size[:, None]
        centred = scores[self.order]
        centred -= (np.add.reduceat(centred, self.first, axis=0) / self.size[:, None])[self.of]
        self.own[here] = centred[here, self.y[here] - start]
        weighted = share[self.of]
        weighted *= centred
        self.mean += weighted.sum(1)
        weighted *= centred
        self.square += weighted.sum(1)

    def found(self) -> tuple[Floats, Floats]:
        """Return the parts of all rows, [m], and the variance of each group, [G]; 0 of a group of one row."""
        parts, variance = np.empty(len(self.y)), np.zeros(self.groups)
        parts[self.order] = np.where(self.size[self.of] > 1, self.own - self.mean, 0.0)
        sums = np.bincount(self.of, self.square - self.mean**2, minlength=len(self.size))
        variance[self.names] = np.where(self.size > 1, self.size / np.maximum(self.size - 1, 1) * sums, 0.0)
        return parts, variance


def _starts(group: Integers) -> tuple[Integers, Integers, Integers, Integers]:
    """Return of groups that come one after the other [m]: the numbers and the first places [H], the place among these
    of each row's [m], and the sizes [H]."""
    first = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(first, append=len(group))
    return group[first], first, np.repeat(np.arange(len(first), dtype=np.int32), size), size


def chosen(places: Integers, m: int) -> Booleans:
    """Return whether each of m rows is at one of the places, [m] bool."""
    found = np.zeros(m, dtype=bool)
    found[places] = True
    return found


def units_of(judged: Judged, in_fold: Sequence[Integers]) -> list[Integers] | None:
    """Return the units of rows by fold; None where each row is one."""
    return None if judged.unit is None else [judged.unit[rows] for rows in in_fold]


def clear(evidence: list[Evidence], units: list[Integers] | None, level: float) -> bool:
    """Return whether the evidence is too large for chance, one-sided.

    Parameters
    ----------
    evidence : list of Evidence
        Of independent sets of rows.
    units : list of ndarray or None
        The unit of each row, by set; None where each row is one.
    level : float
        The chance of a false alarm.
    """
    parts, variance = [e.parts for e in evidence], sum(e.variance for e in evidence)
    if units is not None:
        _, of_unit = np.unique(np.concatenate(units), return_inverse=True)
        sums = np.bincount(of_unit, np.concatenate(parts))
        if len(sums) < len(of_unit):
            variance = max(variance, float((sums**2).sum()))
    return bool(variance > 0 and sum(part.sum() for part in parts) > -ndtri(level) * variance**0.5)


def better(right: Booleans, simple: Booleans, level: float) -> bool:
    """Return whether `right` [m] holds more often than `simple` [m]: McNemar's exact test, one-sided."""
    ours, theirs = int((right & ~simple).sum()), int((simple & ~right).sum())
    return bool(ours > theirs and binom.sf(ours - 1, ours + theirs, 0.5) < level)


def collapsed(predicted: Integers, y: Integers) -> bool:
    """Return whether nearly all rows are put into one class, beside their labels; both [m]."""
    if not len(y):
        return False
    most = int(np.bincount(predicted).argmax())
    return bool((predicted != most).sum() < COLLAPSED * (y != most).sum())


def kappa(predicted: Integers, y: Integers, classes: int) -> tuple[float, float]:
    """Return Cohen's kappa of predictions and labels [m], and its standard error."""
    m = len(y)
    if not m:
        return 0.0, 1.0
    chance = float(np.bincount(predicted, minlength=classes) @ np.bincount(y, minlength=classes)) / m**2
    agreement = float((predicted == y).mean())
    if chance >= 1:
        return 0.0, 1.0
    error = max(agreement * (1 - agreement), 1 / m) ** 0.5 / m**0.5
    return (agreement - chance) / (1 - chance), error / (1 - chance)


def _far_below(own: tuple[float, float], others: list[tuple[float, float]]) -> bool:
    """Return whether one kappa is less than half of the others' mean, beyond chance."""
    mean = float(np.mean([value for value, _ in others]))
    error = float(np.mean([e**2 for _, e in others]) / len(others)) ** 0.5
    return bool(own[0] + ONE_SIDED * (own[1] ** 2 + error**2 / 4) ** 0.5 < mean / 2)


def learned_groups(
    judged: Judged, in_fold: Sequence[Integers], evidence: Callable[[int, Integers, Integers], Evidence]
) -> Booleans:
    """Return whether each group was learned, [G].

    Parameters
    ----------
    judged : Judged
        The rows.
    in_fold : sequence of ndarray
        The rows of each fold that is kept.
    evidence : callable
        Returns that of one group in one fold: of its number, the rows of the fold [m], and the places of its own among
        them, ascending.
    """
    found = np.zeros(judged.groups, dtype=bool)
    folds = []
    for rows in in_fold:
        order = np.argsort(judged.group[rows], kind="stable")
        folds.append((rows, order, np.searchsorted(judged.group[rows][order], np.arange(judged.groups + 1))))
    for g in range(judged.groups):
        members = [(rows, own) for rows, order, ends in folds if len(own := order[ends[g] : ends[g + 1]])]
        units = units_of(judged, [rows[own] for rows, own in members])
        found[g] = bool(members) and clear([evidence(g, rows, own) for rows, own in members], units, GROUP_LEVEL)
    return found


def _groups(ranked: list[_Ranked], judged: Judged, in_fold: list[Integers]) -> Booleans:
    """Return whether each group was learned, [G], by the rows of the folds that are kept."""
    used = np.concatenate(in_fold)
    several = labels_of_groups(judged.y[used], judged.group[used], judged.groups) > 1
    parts, variance = list[Floats](), np.zeros(judged.groups)
    for found, rows in zip(ranked, in_fold, strict=True):
        y, group, m = judged.y[rows], judged.group[rows], len(rows)
        label, count = np.zeros(judged.groups, dtype=np.int64), np.bincount(group, minlength=judged.groups)
        label[group] = y
        apart = (count < m) & (m > 1)  # else there are no others to be told from
        of_one = np.where(apart[group], found.own - found.mean[y], 0.0)
        of_group = np.where(apart, count * (m - count) / max(m - 1, 1) * found.spread[label], 0.0)
        if found.parts is None or found.variance is None or not several.any():
            parts.append(of_one)
            variance += np.where(several, 0.0, of_group)
            continue
        parts.append(np.where(several[group], found.parts, of_one))
        variance += np.where(several, found.variance, of_group)
    units = None if judged.unit is None else judged.unit[used]
    return clear_groups(np.concatenate(parts), judged.group[used], units, variance)


def clear_groups(parts: Floats, group: Integers, unit: Integers | None, variance: Floats) -> Booleans:
    """Return whether the evidence of each group is too large for chance, one-sided, [G], as `clear` tells of one.

    Parameters
    ----------
    parts, group, unit : ndarray
        The parts of rows, their groups in 0..G-1 and their units, [n]; no units where each row is one.
    variance : ndarray
        Of the sum of the parts of each group, [G].
    """
    groups = len(variance)
    if unit is not None:
        _, of_unit = np.unique(unit, return_inverse=True)
        pairs, of_pair = np.unique(group * (of_unit.max(initial=0) + 1) + of_unit, return_inverse=True)
        of_group = pairs // (of_unit.max(initial=0) + 1)
        fewer = np.bincount(of_group, minlength=groups) < np.bincount(group, minlength=groups)
        squares = np.bincount(of_group, np.bincount(of_pair, parts) ** 2, minlength=groups)
        variance = np.where(fewer, np.maximum(variance, squares), variance)
    sums = np.bincount(group, parts, minlength=groups)
    return np.asarray((variance > 0) & (sums > -ndtri(GROUP_LEVEL) * variance**0.5))
