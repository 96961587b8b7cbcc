"""The examples whose labels are most likely wrong, by the likely true classes that held-out predictions point to.

The score is the posterior chance that the label is right (`true_labels`): it knows which class is taken for which, and
so does not accuse a whole class of being rare, nor the labels of a class that is never given wrongly. No chance is
surer than n labels can make it, so it is as if of n equal labels one more were right, and one more wrong (Laplace).
Against cleanlab's own orders: benchmarks/suspects.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from skedastic.errors import UserError
from skedastic.noise.true_labels import true_labels

COLUMNS = ("rank", "index", "given", "suggested", "score", "is_issue", "p_given", "p_suggested")
TOLERANCE = 1e-3  # how far beyond [0, 1] rounding, in half precision too, may carry a probability


def find_label_issues(
    probabilities: ArrayLike, labels: ArrayLike, index: ArrayLike, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the held-out examples, the most suspect first.

    Columns: `rank` from 1; `index`; `given`, the label's class; `suggested`, the class that it is most likely in
    place of; `score`, the probability that the label is right, as far as model and estimated noise can tell (0: surely
    wrong; a model that is unsure of everything accuses too many); `is_issue`, whether it is among the labels estimated
    to be wrong, which are the first so many; `p_given` and `p_suggested`, the model's probabilities of the two classes.

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
    p, y, number = np.asarray(probabilities, dtype=np.float64), np.asarray(labels), np.asarray(index)
    _check(p, y, number, classes)
    held_out = ~np.isnan(p).any(axis=1)
    p, y, number = p[held_out].clip(0, 1), y[held_out].astype(np.int64), number[held_out]
    posterior = true_labels(p, y, np.zeros(len(y), dtype=np.int64)).posterior
    return rank_label_issues(posterior, p, y, number, classes)


def rank_label_issues(
    posterior: NDArray[np.float64],
    p: NDArray[Any],
    y: NDArray[np.int64],
    number: NDArray[np.int64],
    classes: Sequence[str],
    may_be: NDArray[np.bool_] | None = None,
    stands: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return examples, the most suspect first, with the columns of `find_label_issues`.

    All are ranked. An issue is one of the first so many as are estimated to be wrong, if it may be one.

    Parameters
    ----------
    posterior : ndarray
        The chance of each class to be the true one, with the label known, [n, C].
    p, y, number : ndarray
        Held-out class probabilities [n, C], given labels [n] in 0..C-1, and stable numbers [n].
    classes : sequence of str
        The names of the C classes.
    may_be : ndarray, optional
        Whether an example may be an issue, [n] bool; by default all may.
    stands : ndarray, optional
        Whether an estimate stands behind it where an example is called wrong, [n] bool, as `first_of_groups` tells.
        Given, there is a column `by_estimate`: whether an issue is one of the first so many as are estimated to be
        wrong among these.
    """
    rows = np.arange(len(y))
    score = _scores(posterior, y)
    others = posterior.copy()
    others[rows, y] = -1  # below every probability
    suggested = others.argmax(1)
    order, every = np.lexsort((number, score)), np.ones(len(y), dtype=bool)
    is_issue = _as_many_as_wrong(posterior, y, order, every) & (every if may_be is None else may_be)
    names = np.asarray(classes, dtype=object)
    columns = (rows + 1, number, names[y], names[suggested], score, is_issue, p[rows, y], p[rows, suggested])
    values = dict(zip(COLUMNS, columns, strict=True))
    if stands is not None:
        values["by_estimate"] = is_issue & _as_many_as_wrong(posterior, y, order, stands)
    return pd.DataFrame({name: value if name == "rank" else value[order] for name, value in values.items()})


def first_of_groups(
    posterior: NDArray[np.float64],
    y: NDArray[np.int64],
    number: NDArray[np.int64],
    group: NDArray[np.int64],
    most: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return whether an example is among the most suspect of its group, [n] bool.

    Parameters
    ----------
    posterior, y, number : ndarray
        As in `rank_label_issues`.
    group : ndarray
        The group of each example, [n] in 0..G-1.
    most : ndarray
        The share of each group that is taken, [G] in [0, 1].
    """
    order = np.lexsort((number, _scores(posterior, y), group))
    count = np.bincount(group, minlength=len(most))
    before = np.repeat(np.cumsum(count) - count, count)
    first = np.zeros(len(y), dtype=bool)
    first[order] = np.arange(len(y)) - before < np.rint(most * count)[group[order]]
    return first


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


def _as_many_as_wrong(
    posterior: NDArray[np.float64], y: NDArray[np.int64], order: NDArray[np.int64], among: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the first of an order among some, [n] bool: so many as are estimated to be wrong of these."""
    wrong = round(float((1 - posterior[np.arange(len(y)), y])[among].sum()))
    first = np.zeros(len(y), dtype=bool)
    first[order[among[order]][:wrong]] = True
    return first


def _scores(posterior: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chance that each label is right, [n], no surer than n labels can make it."""
    n = len(y)
    return np.asarray((n * posterior[np.arange(n), y] + 1) / (n + 2), dtype=np.float64)


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
