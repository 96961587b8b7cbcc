"""The likely true labels where there are many classes: T has a share for each class, and is counted, not fitted.

Of thousands of classes nobody tells from some rows each how often every one becomes every other, and each step of the
fit of `true_labels` would take C³ operations. Here w_z is the share of the labels of class z that are wrong, counted in
the surest quarter of the rows that are predicted as z and drawn towards that of all classes, and r_y how often a label
is y:

    T[z, y] = (1 − w_z) 1[z = y] + w_z r_y
    (p T⁻¹)_y = (p_y − c r_y) / (1 − w_y),      c = Σ_z p_z w_z / (1 − w_z) / (1 + Σ_z r_z w_z / (1 − w_z))

(Sherman and Morrison, 1950), bent to be above 0 as in `true_labels`. Sharpness and biases are not put right. One pass
over the n · C probabilities does it. Of the surest rows fewest are of another class that looks alike; where classes
overlap so much that none is sure, overlap is taken for wrong labels all the same, and the figures are too high
(`docs/results/noise_estimate.md`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skedastic.core.transitions import BEND, RIDGE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SUREST = 0.25  # of the rows that are predicted as a class
RIGHT, WRONG = 2.0, 0.1  # labels that count beside those of all classes, as in `label_density`
LIKE_ALL = 4.0  # labels of a class that are as wrong as all are
CHUNK = 2048  # rows at a time
LEAST = 1e-6  # probabilities below are rounded up


class Likely(NamedTuple):
    """π [n, C], the chance of each true class with the label given; and of each example, [n] in [0, 1], the chance that
    its label is wrong, and how uncertain labels are where it lies."""

    posterior: NDArray[np.float32]
    wrong: Floats
    uncertain: Floats


def wrong_among_surest(probabilities: NDArray[Any], y: Integers) -> Floats:
    """Return w, the share of wrong labels of each class, [C] in (0, 1); arguments as of `likely_classes`."""
    classes, predicted, sure = probabilities.shape[1], probabilities.argmax(1), probabilities.max(1)
    order = np.lexsort((-sure, predicted))
    count = np.bincount(predicted, minlength=classes)
    place = np.arange(len(y)) - (count.cumsum() - count)[predicted[order]]  # of a row among those predicted alike
    rows = order[place < SUREST * count[predicted[order]]]
    seen = np.bincount(predicted[rows], minlength=classes)
    wrong = np.bincount(predicted[rows], y[rows] != predicted[rows], minlength=classes)
    of_all = (wrong.sum() + WRONG) / (seen.sum() + WRONG + RIGHT)
    shares: Floats = (wrong + LIKE_ALL * of_all) / (seen + LIKE_ALL)
    return shares


def likely_classes(probabilities: NDArray[Any], y: Integers) -> Likely:
    """Return the likely true classes of examples by their held-out predictions and labels.

    Parameters
    ----------
    probabilities : ndarray
        Class probabilities of each example by a model that was not trained on it, [n, C], all finite.
    y : ndarray
        The given labels, [n] in 0..C-1.
    """
    w = wrong_among_surest(probabilities, y)
    r = np.bincount(y, minlength=len(w)) / max(len(y), 1)
    ratio, right = w / (1 - w + RIDGE), 1 - w + RIDGE
    below = 1 + r @ ratio
    found = Likely(np.empty(probabilities.shape, dtype=np.float32), np.empty(len(y)), np.empty(len(y)))
    for start in range(0, len(y), CHUNK):
        part, given = probabilities[start : start + CHUNK].astype(np.float64).clip(LEAST), y[start : start + CHUNK]
        straight = (part - (part @ ratio / below)[:, None] * r) / right
        u = (straight + np.hypot(straight, BEND * part)) / 2
        own = np.arange(len(given))
        chance = u * w * r[given][:, None]
        chance[own, given] += u[own, given] * (1 - w[given])
        chance /= chance.sum(1, keepdims=True)
        found.posterior[start : start + CHUNK] = chance
        found.wrong[start : start + CHUNK] = (1 - chance[own, given]).clip(0, 1)
        found.uncertain[start : start + CHUNK] = (chance @ (w * (1 - r))).clip(0, 1)
    return found
