"""The examples whose labels are most likely wrong, by confident learning and Bayes' rule on held-out predictions.

Confident learning tells which class is taken for which, and how many labels are wrong (Northcutt, Jiang and Chuang,
"Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021, as in its authors' cleanlab;
`confident.joint_and_issues`). Its confident joint holds each class to its own mean confidence, and so does not accuse a
whole class of being rare. It follows which labels are wrong. T_ij is the chance that a label of class i is given as j.
p are the held-out probabilities of the given labels, which a model trained on those predicts, p_j = Σ_i q_i T_ij. That
is solved for q, the probabilities of the true class, and the label j of an example is right with probability
q_j T_jj / p_j. A class that is often taken for another is so suspect where it is given as that one, and not the other
way round.
Against cleanlab's own orders: benchmarks/suspects.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from skedastic.errors import UserError
from skedastic.noise.confident import joint_and_issues

COLUMNS = ("rank", "index", "given", "suggested", "score", "is_issue", "p_given", "p_suggested")
TOLERANCE = 1e-3  # how far beyond [0, 1] rounding, in half precision too, may carry a probability
EVEN = 0.03  # of labels that are taken to be any class with equal chance, so that no confusion is impossible
STEPS = 5  # of q, from the held-out probabilities; more follow the errors of p rather than the noise
CHUNK = 65_536  # examples solved at a time
TINY = 1e-9


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
    score, suggested, wrong = _judged(p, y)
    rows = np.arange(len(y))
    order = np.lexsort((number, score))
    is_issue = np.zeros(len(y), dtype=bool)
    is_issue[order[:wrong]] = True
    names = np.asarray(classes, dtype=object)
    columns = (rows + 1, number, names[y], names[suggested], score, is_issue, p[rows, y], p[rows, suggested])
    values = dict(zip(COLUMNS, columns, strict=True))
    return pd.DataFrame({name: value if name == "rank" else value[order] for name, value in values.items()})


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


def _judged(p: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Return the probability that each label is right [n], the likeliest other class [n], and how many are wrong."""
    classes = p.shape[1]
    if len(np.unique(y)) < 2:  # nothing to compare
        noise, wrong = np.full((classes, classes), 1 / classes), 0
    else:
        joint, wrong = joint_and_issues(p, y)
        noise = confusion(joint)
    score, suggested = np.zeros(len(y)), np.zeros(len(y), dtype=np.int64)
    for start in range(0, len(y), CHUNK):
        part = slice(start, start + CHUNK)
        given, rows = y[part], np.arange(len(y[part]))
        likely = true_probabilities(p[part], noise) * noise[:, given].T  # of each true class, with the label given
        likely /= likely.sum(1, keepdims=True)
        score[part] = likely[rows, given]
        likely[rows, given] = -1  # below every probability
        suggested[part] = likely.argmax(1)
    return score, suggested, wrong


def confusion(joint: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return T [true, given], the chance of each given class for a true one, of their joint distribution [true, given].

    A share of `EVEN` is spread over all classes; for a class without any example, everything is.
    """
    total = joint.sum(1, keepdims=True)
    even = 1 / len(joint)
    known: NDArray[np.float64] = np.divide(joint, total, out=np.full_like(joint, even), where=total > 0)
    return (1 - EVEN) * known + EVEN * even


def true_probabilities(p: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return q [n, C], the probabilities of the true classes, where p [n, C] are those of the given ones.

    Solves p = q T for each row, with T = noise [true, given], by steps of expectation maximization from q = p. They
    keep q a distribution and are stopped early: q_i ← q_i Σ_j T_ij p_j / (q T)_j.
    """
    q: NDArray[np.float64] = p + TINY
    for _ in range(STEPS):
        q *= (p / (q @ noise + TINY)) @ noise.T
        q /= q.sum(1, keepdims=True) + TINY
    return q


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
