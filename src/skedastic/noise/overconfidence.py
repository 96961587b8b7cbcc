"""How much surer models are than they are right: a bound on what their disagreement with labels tells.

A model that has learned from noisy labels predicts the chances of the given labels, and is not surer of them than it
is right. Where it is surer, by labels that it has not seen, it has memorized rows, or learned more than the features of
classes that overlap tell. It contradicts right labels for sure there, as it would wrong ones, and T explains its own
errors as wrong labels (`true_labels`). No likelihood tells the two apart, since both leave the same predictions.

A model that has learned from right labels, as one behind a user's probabilities may have, is surer than noisy labels
bear out, too. Predictions alone can't tell that it knows better, so it is treated alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skedastic.noise.hierarchy import Floats

Integers = NDArray[np.int64]


def overconfidence(probabilities: NDArray[Any], y: Integers, group: Integers, groups: int) -> Floats:
    """Return by how much models are surer of their predictions than these are right, in each group, [G] in [0, 1].

    Of the rows predicted as a class it is the mean probability of that class, less the share of them that is labelled
    so. A group has the mean over its rows, each by the class that it is predicted as; one of several labels, such as
    the rows of a site, has that of its own rows, too; and all rows together have another. The largest counts, and
    nothing below 0. (In a group of one label the rows that are predicted otherwise are those that look wrong.)

    Parameters
    ----------
    probabilities : ndarray
        Held-out class probabilities, [n, C], all finite.
    y, group : ndarray
        Labels, [n] in 0..C-1, and groups, [n] in 0..G-1.
    groups : int
        G.
    """
    predicted = probabilities.argmax(1)
    surer = probabilities.max(1, initial=0).astype(np.float64) - (predicted == y)
    of_class = _means(surer, predicted, probabilities.shape[1])
    of_all = float(surer.mean()) if len(surer) else 0.0
    found = _means(of_class[predicted], group, groups).clip(max(0.0, of_all))
    several = labels_of_groups(y, group, groups) > 1
    return np.where(several, np.maximum(found, _means(surer, group, groups)), found)


def labels_of_groups(y: Integers, group: Integers, groups: int) -> NDArray[np.int8]:
    """Return whether a group has none, one or several labels: 0, 1 or 2, [G].

    Parameters
    ----------
    y, group : ndarray
        Labels and groups of rows, [n].
    groups : int
        G.
    """
    one = np.full(groups, -1, dtype=np.int64)
    one[group] = y  # one of the labels of each
    found = (one >= 0).astype(np.int8)
    found[group[one[group] != y]] = 2
    return found


def _means(values: Floats, group: Integers, groups: int) -> Floats:
    """Return the mean of the values [n] of each group, [G]; 0 where it has no rows."""
    sums = np.bincount(group, values, minlength=groups)
    means: Floats = sums / np.bincount(group, minlength=groups).clip(1)
    return means
