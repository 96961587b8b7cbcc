"""The confident joint: how often rows of each label are confidently put into each class.

Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021, section
3.1. A row is confidently of a class where the probability of it is at least the mean probability of that class among
the rows labelled so; of several such classes it is the most probable. So a rare or hard class, whose probabilities are
low throughout, is held to its own measure. Ours: so is each class in each fold, since models lean to different classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skedastic.noise.blocks import blocks

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def confident_classes(probabilities: NDArray[Any], y: Integers, fold: Integers) -> NDArray[np.int32]:
    """Return the class that each row is confidently of, [n]; -1 where it is of none.

    Parameters
    ----------
    probabilities : ndarray
        Held-out class probabilities, [n, C] in [0, 1].
    y, fold : ndarray
        The given labels, [n] in 0..C-1, and the model that each prediction is of, [n] in 0..K-1.
    """
    classes, folds = probabilities.shape[1], int(fold.max(initial=0)) + 1
    cell, size = classes * fold + y, classes * folds
    count = np.bincount(cell, minlength=size)
    total = np.bincount(cell, probabilities[np.arange(len(y)), y], minlength=size)
    mean = np.divide(total, count, out=np.full(size, np.inf), where=count > 0).reshape(folds, classes)
    found = np.empty(len(y), dtype=np.int32)
    for rows in blocks(len(y), classes):
        part = probabilities[rows]
        above = np.where(part >= mean[fold[rows]], part, -1.0)
        likeliest = above.argmax(1)
        found[rows] = np.where(above[np.arange(len(part)), likeliest] >= 0, likeliest, -1)
    return found


def confident_joint(probabilities: NDArray[Any], y: Integers, fold: Integers) -> Integers:
    """Return the rows of each class, where they are confidently of one, by label, [C, C] as [class, label].

    Parameters
    ----------
    probabilities, y, fold : ndarray
        As in `confident_classes`.
    """
    classes, likeliest = probabilities.shape[1], confident_classes(probabilities, y, fold)
    rows = likeliest >= 0
    joint = np.bincount(classes * likeliest[rows].astype(np.int64) + y[rows], minlength=classes**2)
    return joint.reshape(classes, classes)
