"""Whether anything was learned: held-out predicted numbers against the targets.

As `learned`, with ranks for scores: r_i of the prediction and t_i of the target among the rows of the fold, centred
and divided by their number. S = Σ r_i t_i is Spearman's correlation; were targets and predictions unrelated, it would
have mean 0 and variance Σ r² Σ t² / (m − 1). Something was learned where S is too large for chance (1 % for the whole,
5 % for a fold) and the squared error is less than that of the mean of the other folds' targets; of the whole, or at
1 % / K of one of K folds, since the errors of a model that diverged hide all others. A fold that fails is left out
where its share of the variance explained is less than half of the other folds', and it has 30 rows or more.

A group is learned where its rows pass the same test of S, at 2.5 %, within fold and group. Bins of the target are
another thing: within one, targets are almost equal. There the predictions of the group must be nearer to the targets
than predictions drawn at random from the fold are: S = Σ ((t_i − r)² averaged over all r − (t_i − r_i)²).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from skedastic.evaluation.intervals import LEAST_ROWS
from skedastic.noise.held_out import Integers, Judged
from skedastic.noise.learned import (
    FOLD_LEVEL,
    LEVEL,
    Booleans,
    Evidence,
    Floats,
    Learned,
    chosen,
    clear,
    learned_groups,
    units_of,
)

TINY = 1e-300


def learned_numbers(predicted: Floats, judged: Judged, *, binned: bool) -> Learned:
    """Return whether the whole, each fold and each group were learned (see above).

    Parameters
    ----------
    predicted : ndarray
        Held-out predictions, [n], finite.
    judged : Judged
        The n rows.
    binned : bool
        Whether the groups are bins of the target.
    """
    y, fold, in_fold = judged.y, judged.fold, judged.in_fold
    folds = len(in_fold)
    evidence = [together(predicted[rows], y[rows]) for rows in in_fold]
    own, mean = np.zeros(folds), np.zeros(folds)
    for k, rows in enumerate(in_fold):
        rest = y[fold != k] if folds > 1 else y
        own[k], mean[k] = ((y[rows] - predicted[rows]) ** 2).sum(), ((y[rows] - rest.mean()) ** 2).sum()

    def passes(chosen: list[int], level: float) -> bool:
        return bool(
            clear([evidence[k] for k in chosen], units_of(judged, [in_fold[k] for k in chosen]), level)
            and own[chosen].sum() < mean[chosen].sum()
        )

    every = list(range(folds))
    whole = bool(folds) and (passes(every, LEVEL) or any(passes([k], LEVEL / folds) for k in every))
    kept = np.ones(folds, dtype=bool)
    for k in every if whole and folds > 1 else ():
        others = [j for j in every if j != k]
        explained = 1 - own[others].sum() / max(mean[others].sum(), TINY)
        worse = len(in_fold[k]) >= LEAST_ROWS and 1 - own[k] / max(mean[k], TINY) < explained / 2
        kept[k] = passes([k], FOLD_LEVEL) or not worse
    if not whole:
        return Learned(whole, kept, np.zeros(judged.groups, dtype=bool), None)

    def of_group(_: int, rows: Integers, own: Integers) -> Evidence:
        if binned:
            return nearer(predicted[rows], y[rows], chosen(own, len(rows)))
        return together(predicted[rows[own]], y[rows[own]])

    used = [rows for k, rows in enumerate(in_fold) if kept[k]]
    return Learned(whole, kept, learned_groups(judged, used, of_group), None)


def together(predicted: Floats, y: Floats) -> Evidence:
    """Return the evidence that predictions rise with the targets, both [m], against all orders of these."""
    m = len(y)
    if m < 2:
        return Evidence(np.zeros(m), 0.0)
    r, t = _ranks(predicted), _ranks(y)
    return Evidence(r * t, float((r**2).sum() * (t**2).sum() / (m - 1)))


def nearer(predicted: Floats, y: Floats, members: Booleans) -> Evidence:
    """Return the evidence that members [m] bool are predicted nearer to their targets [m] than by random predictions.

    The variance is that of predictions drawn for each row alone, which is not less than without replacement.
    """
    r, t = _ranks(predicted), _ranks(y)[members]
    spread, fourth, third = float((r**2).mean()), float((r**4).mean()), float((r**3).mean())
    parts = spread + t**2 - (t - r[members]) ** 2
    variance = (fourth - spread**2) + 4 * t**2 * spread - 4 * t * third
    return Evidence(parts, float(variance.sum()))


def _ranks(values: Floats) -> Floats:
    ranks: Floats = (rankdata(values) - (len(values) + 1) / 2) / max(1, len(values))
    return ranks
