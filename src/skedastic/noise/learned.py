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
3. Or are they worth something once each class is predicted as often as it is labelled (`confident.match_counts`)?
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

from skedastic.noise.held_out import Integers, Judged

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

    Parameters
    ----------
    probabilities : ndarray
        Held-out class probabilities, [n, C], all finite.
    again : ndarray
        The most probable class of each row where each is as frequent as its label, by `match_counts`, [n] in 0..C-1.
    judged : Judged
        The n rows.
    """
    n, classes = probabilities.shape
    y, fold, unit, in_fold = judged.y, judged.fold, judged.unit, judged.in_fold
    folds, predicted = len(in_fold), probabilities.argmax(1)
    scores, majority = np.zeros((n, classes)), np.zeros(n, dtype=np.int64)
    evidence, kappas = [], []
    for rows in in_fold:
        scores[rows] = centred_ranks(probabilities[rows])
        majority[rows] = np.bincount(y[rows], minlength=classes).argmax()
        evidence.append(together(scores[rows], y[rows]))
        kappas.append(kappa(again[rows], y[rows], classes))

    def passes(chosen: list[int], level: float) -> bool:
        rows = np.isin(fold, chosen)
        if not clear([evidence[k] for k in chosen], [unit[in_fold[k]] for k in chosen], level):
            return False
        right, simple = predicted[rows] == y[rows], majority[rows] == y[rows]
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
    used = [rows for k, rows in enumerate(in_fold) if kept[k]]
    by_class = _groups(scores, judged._replace(group=y, groups=classes), used)
    same = judged.groups == classes and np.array_equal(judged.group, y)
    return Learned(whole, kept, by_class if same else _groups(scores, judged, used), by_class, shrunk)


def centred_ranks(values: NDArray[np.floating[Any]]) -> Floats:
    """Return the rank of each value in its column, less the mean rank and divided by m, [m, C]; equals share theirs."""
    m = max(1, len(values))
    ranks: Floats = (rankdata(values, axis=0) - (len(values) + 1) / 2) / m
    return ranks


def together(scores: Floats, y: Integers) -> Evidence:
    """Return the evidence that scores [m, C] go with labels y [m], against all orders of these (question 1)."""
    m = len(y)
    if m < 2:
        return Evidence(np.zeros(m), 0.0)
    share = np.bincount(y, minlength=scores.shape[1]) / m
    expected = scores @ share
    column = scores.mean(0)
    parts = scores[np.arange(m), y] - expected - column[y] + column @ share
    off = scores - expected[:, None] - column + column @ share
    return Evidence(parts, float(m / (m - 1) * ((off**2) @ share).sum()))


def among(score: Floats, members: Booleans) -> Evidence:
    """Return the evidence that `members` [m] bool have higher scores [m] than as many rows drawn at random."""
    m, own = len(score), int(members.sum())
    if m < 2 or own in (0, m):
        return Evidence(np.zeros(own), 0.0)
    parts = score[members] - score.mean()
    return Evidence(parts, float(own * (m - own) / (m - 1) * score.var()))


def chosen(places: Integers, m: int) -> Booleans:
    """Return whether each of m rows is at one of the places, [m] bool."""
    found = np.zeros(m, dtype=bool)
    found[places] = True
    return found


def clear(evidence: list[Evidence], units: list[Integers], level: float) -> bool:
    """Return whether the evidence is too large for chance, one-sided.

    Parameters
    ----------
    evidence : list of Evidence
        Of independent sets of rows.
    units : list of ndarray
        The unit of each row, by set.
    level : float
        The chance of a false alarm.
    """
    parts, unit = np.concatenate([e.parts for e in evidence]), np.concatenate(units)
    variance = sum(e.variance for e in evidence)
    _, of_unit = np.unique(unit, return_inverse=True)
    sums = np.bincount(of_unit, parts)
    if len(sums) < len(parts):
        variance = max(variance, float((sums**2).sum()))
    return bool(variance > 0 and parts.sum() > -ndtri(level) * variance**0.5)


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
        units = [judged.unit[rows[own]] for rows, own in members]
        found[g] = bool(members) and clear([evidence(g, rows, own) for rows, own in members], units, GROUP_LEVEL)
    return found


def _groups(scores: Floats, judged: Judged, in_fold: Sequence[Integers]) -> Booleans:
    """Return whether each group was learned, [G], by the rows of the folds that are kept."""
    y, used = judged.y, np.concatenate(in_fold)
    least, most = np.full(judged.groups, scores.shape[1]), np.full(judged.groups, -1)
    np.minimum.at(least, judged.group[used], y[used])
    np.maximum.at(most, judged.group[used], y[used])

    def evidence(g: int, rows: Integers, own: Integers) -> Evidence:
        if least[g] < most[g]:
            return together(scores[rows[own]], y[rows[own]])
        return among(scores[rows, least[g]], chosen(own, len(rows)))

    return learned_groups(judged, in_fold, evidence)
