"""The likely true labels where there are many classes: T has a share for each class, and is counted, not fitted.

Of thousands of classes nobody tells from some rows each how often every one becomes every other, and each step of the
fit of `true_labels` would take C³ operations. Here w_z is the share of the labels of class z that are wrong, counted in
the surest quarter of the rows that are predicted as z and drawn towards that of all classes, and r_y how often a label
is y:

    T[z, y] = (1 − w_z) 1[z = y] + w_z r_y
    (p T⁻¹)_y = (p_y − c r_y) / (1 − w_y),      c = Σ_z p_z w_z / (1 − w_z) / (1 + Σ_z r_z w_z / (1 − w_z))

(Sherman and Morrison, 1950), bent to be above 0 as in `true_labels`. Sharpness and biases are not put right. It is of
each row alone, so that blocks of rows are enough, and nothing is kept of the size of the probabilities. Of the surest
rows fewest are of another class that looks alike; where classes overlap so much that none is sure, overlap is taken for
wrong labels all the same, and the figures are too high (`docs/results/noise_estimate.md`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skedastic.core.transitions import BEND, RIDGE
from skedastic.noise.blocks import blocks

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SUREST = 0.25  # of the rows that are predicted as a class
RIGHT, WRONG = 2.0, 0.1  # labels that count beside those of all classes, as in `label_density`
LIKE_ALL = 4.0  # labels of a class that are as wrong as all are
LEAST = 1e-6  # probabilities below are rounded up


class Counted(NamedTuple):
    """w, the share of wrong labels of each class, [C] in (0, 1), and r, how often a label is each, [C]."""

    wrong: Floats
    share: Floats

    def posterior(self, probabilities: NDArray[Any], y: Integers, fold: Integers) -> Floats:
        """Return π, the chance of each true class with the label given, [m, C]; arguments as of `likely_classes`."""
        w, r = self
        ratio, right = w / (1 - w + RIDGE), 1 - w + RIDGE
        part, own = probabilities.astype(np.float64).clip(LEAST), np.arange(len(y))
        straight = (part - (part @ ratio / (1 + r @ ratio))[:, None] * r) / right
        u: Floats = (straight + np.sqrt(straight**2 + (BEND * part) ** 2)) / 2
        chance = u * w * r[y][:, None]
        chance[own, y] += u[own, y] * (1 - w[y])
        chance /= chance.sum(1, keepdims=True)
        return chance


class Likely(NamedTuple):
    """What tells the true classes; and of each example, [n] in [0, 1], the chance that its label is wrong, how
    uncertain labels are where it lies, and both by the rows of its own fold alone."""

    by: Counted
    wrong: Floats
    uncertain: Floats
    wrong_apart: Floats
    uncertain_apart: Floats


def wrong_among_surest(predicted: Integers, sure: NDArray[Any], y: Integers, classes: int) -> Floats:
    """Return w, the share of wrong labels of each class, [C] in (0, 1).

    Parameters
    ----------
    predicted, sure, y : ndarray
        The class that each row is predicted as, [n] in 0..C-1, its probability, and the label.
    classes : int
        C.
    """
    order = np.lexsort((-sure, predicted))
    count = np.bincount(predicted, minlength=classes)
    place = np.arange(len(y)) - (count.cumsum() - count)[predicted[order]]  # of a row among those predicted alike
    rows = order[place < SUREST * count[predicted[order]]]
    seen = np.bincount(predicted[rows], minlength=classes)
    wrong = np.bincount(predicted[rows], y[rows] != predicted[rows], minlength=classes)
    of_all = (wrong.sum() + WRONG) / (seen.sum() + WRONG + RIGHT)
    shares: Floats = (wrong + LIKE_ALL * of_all) / (seen + LIKE_ALL)
    return shares


def likely_classes(probabilities: NDArray[Any], y: Integers, fold: Integers) -> Likely:
    """Return what tells the likely true classes of examples by their held-out predictions and labels.

    Parameters
    ----------
    probabilities : ndarray
        Class probabilities of each example by a model that was not trained on it, [n, C], all finite.
    y : ndarray
        The given labels, [n] in 0..C-1.
    fold : ndarray
        The model that each prediction is of, [n] in 0..K-1.
    """
    n, classes = probabilities.shape
    predicted, sure = probabilities.argmax(1), probabilities.max(1)

    def counted(rows: Integers | slice) -> Counted:
        wrong = wrong_among_surest(predicted[rows], sure[rows], y[rows], classes)
        return Counted(wrong, np.bincount(y[rows], minlength=classes) / max(len(y[rows]), 1))

    whole = counted(slice(None))
    wrong, uncertain = _both(whole, probabilities, y, fold, np.arange(n))
    wrong_apart, uncertain_apart = wrong.copy(), uncertain.copy()
    for k in np.unique(fold) if len(np.unique(fold)) > 1 else ():
        rows = np.flatnonzero(fold == k)
        wrong_apart[rows], uncertain_apart[rows] = _both(counted(rows), probabilities, y, fold, rows)
    return Likely(whole, wrong, uncertain, wrong_apart, uncertain_apart)


def _both(
    by: Counted, probabilities: NDArray[Any], y: Integers, fold: Integers, rows: Integers
) -> tuple[Floats, Floats]:
    """Return 1 − π_i(y_i) and Σ_z π_i(z) w_z (1 − r_z) of some rows, each [m]."""
    wrong, uncertain = np.empty(len(rows)), np.empty(len(rows))
    for part in blocks(len(rows), len(by.wrong)):
        some = rows[part]
        chance = by.posterior(probabilities[some], y[some], fold[some])
        wrong[part] = (1 - chance[np.arange(len(some)), y[some]]).clip(0, 1)
        uncertain[part] = (chance @ (by.wrong * (1 - by.share))).clip(0, 1)
    return wrong, uncertain
