"""The examples whose labels are to be checked, by the likely true classes that held-out predictions point to.

The score is the posterior chance that the label is right (`true_labels`). No chance is surer than n labels can make it,
so it is as if of n equal labels one more were right, and one more wrong (Laplace).

Held-out predictions tell well which labels of one class are wrong, and badly which class it is whose labels are: that
labels of a frequent class go wrong, and that a rare class is hard, look alike. So labels are ranked within the class
that they name, and classes take turns: the k-th of class c has the place (k − ½) / m_c, with

    m_c = Σ (1 − π_i(y_i)) over the labels c  +  a tenth of those that are confidently of another class

(`confident_classes`). m_c are also so many as are to be checked of the class. Against cleanlab's orders, and an order
by the score alone: benchmarks/suspects.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from skedastic.errors import UserError
from skedastic.noise.confident_joint import confident_classes
from skedastic.noise.true_labels import TrueLabels, true_labels

COLUMNS = ("rank", "index", "given", "suggested", "score", "is_issue", "p_given", "p_suggested")
CONFIDENT = 0.1  # of the labels that are confidently of another class; 0 to 0.5 were tried
LIKELY = 0.5  # chance to be wrong of a label that is called so
NONE = 1e-9  # labels to check of a class, for a place to be finite
TOLERANCE = 1e-3  # how far beyond [0, 1] rounding, in half precision too, may carry a probability


def find_label_issues(
    probabilities: ArrayLike, labels: ArrayLike, index: ArrayLike, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the held-out examples, the most suspect of each class first, and classes in turns (see above).

    Columns: `rank` from 1; `index`; `given`, the label's class; `suggested`, the class that it is most likely in
    place of; `score`, the probability that the label is right, as far as model and estimated noise can tell (0: surely
    wrong; a model that is unsure of everything accuses too many); `is_issue`, whether it is to be checked, as the first
    so many are; `p_given` and `p_suggested`, the model's probabilities of the two classes.

    Classes may be absent from the labels. Where all labels are of one class nothing can be compared, and none
    is called an issue.

    Parameters
    ----------
    probabilities : ArrayLike
        Class probabilities of each example by a model that was not trained on it, [n, C] in [0, 1]. A row with NaN is
        an example that was never held out, and is left out here.
    labels : ArrayLike
        The given labels, [n] integers in 0..C-1.
    index : ArrayLike
        The stable number of each example, [n].
    classes : sequence of str
        The names of the C classes, C at least 2.

    Raises
    ------
    UserError
        Shapes do not fit together, a label has no class, or a probability is outside [0, 1].
    """
    p, y, number = np.asarray(probabilities), np.asarray(labels), np.asarray(index)
    p = p if p.dtype == np.float32 else p.astype(np.float64)
    _check(p, y, number, classes)
    held_out = ~np.isnan(p.sum(1))
    p, y, number = p[held_out].clip(0, 1), y[held_out].astype(np.int64), number[held_out]
    fold = np.zeros(len(y), dtype=np.int64)
    return rank_label_issues(true_labels(p, y, fold), p, y, fold, number, classes)


def rank_label_issues(
    truth: TrueLabels,
    p: NDArray[Any],
    y: NDArray[np.int64],
    fold: NDArray[np.int64],
    number: NDArray[np.int64],
    classes: Sequence[str],
    share: float = 1.0,
    stands: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return examples, the most suspect of each class first, with the columns of `find_label_issues`.

    Parameters
    ----------
    truth : TrueLabels
        The likely true classes of the n examples.
    p, y, fold, number : ndarray
        Held-out class probabilities [n, C], given labels [n] in 0..C-1, the model that each prediction is of, [n] in
        0..K-1, and stable numbers [n].
    classes : sequence of str
        The names of the C classes.
    share : float, optional
        The share of m_c that is to be checked, in (0, 1].
    stands : ndarray, optional
        Whether an estimate stands behind it where an example is called wrong, [n] bool, as `first_of_groups` tells.
        Given, there is a column `by_estimate`: whether this holds of an issue that is more likely wrong than right.
    """
    rows = np.arange(len(y))
    score, suggested = _scores(truth.right), truth.suggested
    place = (_places(score, y, number, len(classes)) + 0.5) / _to_check(truth.right, p, y, fold)[y].clip(NONE)
    order, is_issue = np.lexsort((number, score, place)), place <= share
    del place
    names = np.asarray(classes, dtype=object)
    columns = (rows + 1, number[order], names[y[order]], names[suggested[order]], score[order], is_issue[order])
    values = dict(zip(COLUMNS, (*columns, p[order, y[order]], p[order, suggested[order]]), strict=True))
    if stands is not None:
        values["by_estimate"] = (is_issue & stands & (1 - truth.right > LIKELY))[order]
    return pd.DataFrame(values, copy=False)


def first_of_groups(
    right: NDArray[np.float64],
    number: NDArray[np.int64],
    group: NDArray[np.int64],
    most: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return whether an example is among the most suspect of its group, [n] bool.

    Parameters
    ----------
    right, number : ndarray
        The chance that each label is right, [n], and stable numbers [n].
    group : ndarray
        The group of each example, [n] in 0..G-1.
    most : ndarray
        The share of each group that is taken, [G] in [0, 1].
    """
    count = np.bincount(group, minlength=len(most))
    return np.asarray(_places(_scores(right), group, number, len(most)) < np.rint(most * count)[group])


def score_label_issues(issues: pd.DataFrame, wrong: ArrayLike) -> dict[str, float]:
    """Return how well label issues tell the wrong labels, where it is known which are wrong; for evaluation only.

    The key `wrong` is the number of wrong labels, and `issues` that of the issues. `precision` is the share of the
    issues that are wrong, and `recall` the share of the wrong labels that are issues. `first` is the share of wrong
    labels among the first `wrong` of them: precision and recall at once. A share is 0 where there is nothing to count.

    Parameters
    ----------
    issues : DataFrame
        As `find_label_issues` returns it.
    wrong : ArrayLike
        Whether the label at each row of the source is wrong, indexed by `index`.
    """
    is_wrong = np.asarray(wrong, dtype=bool)[issues["index"].to_numpy()]
    is_issue = issues["is_issue"].to_numpy()
    m, count, hits = int(is_wrong.sum()), int(is_issue.sum()), int((is_wrong & is_issue).sum())
    return {
        "wrong": m,
        "issues": count,
        "precision": hits / max(count, 1),
        "recall": hits / max(m, 1),
        "first": float(is_wrong[:m].mean()) if m else 0.0,
    }


def _places(
    score: NDArray[np.float64], group: NDArray[np.int64], number: NDArray[np.int64], groups: int
) -> NDArray[np.int64]:
    """Return how many of its group [n] in 0..G-1 each example comes after by score, equal ones by number, [n]."""
    order = np.lexsort((number, score, group))
    count = np.bincount(group, minlength=groups)
    places = np.empty(len(score), dtype=np.int64)
    places[order] = np.arange(len(score)) - np.repeat(np.cumsum(count) - count, count)
    return places


def _to_check(
    right: NDArray[np.float64], p: NDArray[Any], y: NDArray[np.int64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return m [C] ≥ 0, how many labels of each class are to be checked."""
    classes, confident = p.shape[1], confident_classes(p, y, fold)
    others = np.bincount(y[(confident >= 0) & (confident != y)], minlength=classes)
    return np.asarray(np.bincount(y, 1 - right, minlength=classes).clip(0) + CONFIDENT * others)


def _scores(right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance that each label is right, [n], no surer than n labels can make it."""
    n = len(right)
    return np.asarray((n * right + 1) / (n + 2))


def _check(p: NDArray[np.float64], y: NDArray[np.int64], number: NDArray[np.int64], classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise UserError("needs at least 2 classes", setting="find_label_issues: classes", value=list(classes))
    if p.shape != (len(y), len(classes)) or y.ndim != 1 or number.shape != y.shape:
        shapes = f"{list(p.shape)}, {list(y.shape)}, {list(number.shape)}"
        rule = f"needs probabilities [n, {len(classes)}], labels [n] and index [n]"
        given = f"find_label_issues: got shapes {shapes}"
        raise UserError(rule, setting="find_label_issues", value=shapes, given=given)
    if len(y) and (y.min() < 0 or y.max() >= len(classes)):
        rule = f"must be in 0..{len(classes) - 1}"
        raise UserError(rule, setting="find_label_issues: labels", value=y.min() if y.min() < 0 else y.max())
    outside = (p < -TOLERANCE) | (p > 1 + TOLERANCE)
    if outside.any():
        rule = "must be in [0, 1]; logits need a softmax first"
        raise UserError(rule, setting="find_label_issues: probabilities", value=float(p[outside][0]))
