"""The examples whose labels are most likely wrong, by confident learning on held-out predictions.

Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
2021, in the implementation of its authors, cleanlab. How many labels are wrong comes from the confident
joint, which holds each class to its own mean confidence and so does not accuse a whole class of being rare;
which ones comes from the normalized margin, the probability of the given label against that of the best other
one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from skedastic.errors import UserError

COLUMNS = ("rank", "index", "given", "suggested", "score", "is_issue", "p_given", "p_suggested")
TOLERANCE = 1e-3  # how far beyond [0, 1] rounding, in half precision too, may carry a probability


def find_suspects(
    probabilities: ArrayLike, labels: ArrayLike, index: ArrayLike, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the held-out examples, the most suspect first.

    Columns: `rank` from 1; `index`; `given`, the label's class; `suggested`, the most probable other class;
    `score`, the quality of the label in [0, 1] (0: surely wrong); `is_issue`, whether it is among the labels
    estimated to be wrong, which are the first so many; `p_given` and `p_suggested`, the probabilities of the
    two classes.

    Classes may be absent from the labels. Where all labels are of one class nothing can be compared, and none
    is called an issue.

    Args:
        probabilities: class probabilities of each example by a model not trained on it, [n, C]; a row with
            NaN is an example that was never held out, and is left out here.
        labels: the given labels, [n] integers in 0..C-1.
        index: the examples' stable numbers, [n].
        classes: the names of the C classes, C at least 2.

    Raises:
        UserError: shapes do not fit together, a label has no class, a probability is outside [0, 1].
    """
    p, y, number = np.asarray(probabilities, dtype=np.float64), np.asarray(labels), np.asarray(index)
    _check(p, y, number, classes)
    held_out = ~np.isnan(p).any(axis=1)
    p, y, number = p[held_out].clip(0, 1), y[held_out].astype(np.int64), number[held_out]
    score, is_issue = _confident_learning(p, y)
    rows = np.arange(len(y))
    others = p.copy()
    others[rows, y] = -1  # below every probability
    suggested = others.argmax(axis=1)
    order = np.lexsort((number, ~is_issue, score))
    names = np.asarray(classes, dtype=object)
    columns = (rows + 1, number, names[y], names[suggested], score, is_issue, p[rows, y], p[rows, suggested])
    values = dict(zip(COLUMNS, columns, strict=True))
    return pd.DataFrame({name: value if name == "rank" else value[order] for name, value in values.items()})


def _confident_learning(p: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the quality of each label [n] in [0, 1], and whether it is estimated to be wrong [n]."""
    if not len(y):
        return np.zeros(0), np.zeros(0, dtype=bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanlab.filter import find_label_issues  # takes a second to import
        from cleanlab.rank import get_label_quality_scores

        score = get_label_quality_scores(y, p, method="normalized_margin")
        if len(np.unique(y)) < 2:
            return score, np.zeros(len(y), dtype=bool)
        return score, find_label_issues(y, p, filter_by="low_normalized_margin", n_jobs=1)


def _check(p: NDArray[np.float64], y: NDArray[np.int64], number: NDArray[np.int64], classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise UserError(f"find_suspects: needs at least 2 classes, got {list(classes)}")
    if p.shape != (len(y), len(classes)) or y.ndim != 1 or number.shape != y.shape:
        raise UserError(
            f"find_suspects: needs probabilities [n, {len(classes)}], labels [n] and index [n], "
            f"got shapes {list(p.shape)}, {list(y.shape)}, {list(number.shape)}"
        )
    if len(y) and (y.min() < 0 or y.max() >= len(classes)):
        raise UserError(f"find_suspects: labels must be in 0..{len(classes) - 1}, got {y.min()}..{y.max()}")
    if (p < -TOLERANCE).any() or (p > 1 + TOLERANCE).any():
        raise UserError("find_suspects: a probability is outside [0, 1]; logits need a softmax first")
