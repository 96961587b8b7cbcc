"""The metrics of predicted classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from skedastic.errors import UserError
from skedastic.evaluation.intervals import wilson
from skedastic.evaluation.metrics import Accuracy, BySize, ClassificationMetrics, WorstGroup

NAME = "evaluate_classification"  # in errors
CALIBRATION_BINS = 15
ROW_SUM_TOLERANCE = 1e-2  # what half precision leaves of a sum of one

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def evaluate_classification(
    probabilities: ArrayLike,
    labels: ArrayLike,
    group: ArrayLike,
    classes: Sequence[str],
    groups: Sequence[str],
    train_count: ArrayLike,
) -> ClassificationMetrics:
    """Return the metrics of a test set.

    Parameters
    ----------
    probabilities : ArrayLike
        Of each class for each example, [m, C].
    labels : ArrayLike
        The true classes, [m] integers in 0..C-1.
    group : ArrayLike
        The examples' groups, [m] integers in 0..G-1.
    classes : sequence of str
        The names of the C classes, C at least 2.
    groups : sequence of str
        The names of the G groups.
    train_count : ArrayLike
        The number of training examples of each group, [G].

    Raises
    ------
    UserError
        The test set is empty, shapes do not fit together, a label or group has no name, or rows are not probabilities.
    """
    from sklearn.metrics import recall_score  # a second to import, and only needed once a model is trained

    p, y, g, train = (np.asarray(a) for a in (probabilities, labels, group, train_count))
    p = p.astype(np.float64)
    _check(p, y, g, train, len(classes), len(groups))
    predicted = p.argmax(axis=1)
    right = predicted == y
    n = np.bincount(g, minlength=len(groups))
    per_group = _rates(np.bincount(g[right], minlength=len(groups)), n)
    named = dict(zip(groups, per_group, strict=True))
    [overall] = _rates(np.array([right.sum()]), np.array([len(y)]))
    return ClassificationMetrics(
        overall=overall,
        correct=int(right.sum()),
        balanced_accuracy=float(recall_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)),
        worst_group=WorstGroup.of(named, ClassificationMetrics.metric),
        groups=named,
        by_size=BySize.of(per_group, train),
        ece=_calibration_error(p, y),
    )


def _rates(correct: Integers, n: Integers) -> list[Accuracy]:
    """Return the accuracy for each of the counts [K]; None where n is 0."""
    low, high = wilson(correct, n)
    return [
        Accuracy(n=int(total), accuracy=float(c / total), low=float(a), high=float(b))
        if total
        else Accuracy(n=0, accuracy=None, low=None, high=None)
        for c, total, a, b in zip(correct, n, low, high, strict=True)
    ]


def _calibration_error(p: Floats, y: Integers) -> float:
    """Return the expected calibration error Σ_b n_b/m · |accuracy_b − confidence_b|, in [0, 1].

    p: probabilities [m, C]. y: labels [m]. An example's confidence is the probability of its likeliest class. Bin b
    has n_b of the m examples; accuracy_b is the share of these that are right, confidence_b their mean confidence.
    The bins are 15 equal ones, each with its lower edge, and a last one for a confidence of 1 alone.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, where a bin has its upper
    edge instead. torchmetrics has the bins of this function. Its sums are in single precision, and so are these, so
    that figures can be held against those of older runs.
    """
    confidence, predicted = torch.from_numpy(p.clip(0, 1)).max(dim=1)
    confidence, right = confidence.float(), predicted.eq(torch.from_numpy(y.astype(np.int64))).float()
    edges = torch.linspace(0, 1, CALIBRATION_BINS + 1)
    bins = torch.bucketize(confidence, edges, right=True) - 1
    n, of_confidence, of_right = (
        torch.zeros(len(edges)).scatter_add(0, bins, summed)
        for summed in (torch.ones_like(confidence), confidence, right)
    )
    gap = (of_right / n - of_confidence / n).abs().nan_to_num()  # of an empty bin 0
    return float((gap * (n / n.sum())).sum())


def _check(p: Floats, y: Integers, g: Integers, train: Integers, n_classes: int, n_groups: int) -> None:
    if n_classes < 2:
        raise UserError("needs at least 2 classes", setting=f"{NAME}: classes", value=n_classes)
    if y.ndim != 1 or p.shape != (len(y), n_classes) or g.shape != y.shape or train.shape != (n_groups,):
        shapes = ", ".join(str(list(a.shape)) for a in (p, y, g, train))
        rule = f"needs probabilities [m, {n_classes}], labels [m], group [m], train_count [{n_groups}]"
        raise UserError(rule, setting=NAME, value=shapes, given=f"{NAME}: got shapes {shapes}")
    if not len(y):
        raise UserError("the test set is empty; it needs at least one example", setting=f"{NAME}: labels")
    for what, numbers, bound in (("labels", y, n_classes), ("group", g, n_groups)):
        if numbers.min() < 0 or numbers.max() >= bound:
            wrong = numbers.min() if numbers.min() < 0 else numbers.max()
            raise UserError(f"must be in 0..{bound - 1}", setting=f"{NAME}: {what}", value=wrong)
    if not np.isfinite(p).all():
        row, column = np.argwhere(~np.isfinite(p))[0]
        place = f"{NAME}: probabilities[{row}, {column}]"
        raise UserError("must be finite", setting=place, value=float(p[row, column]))
    off = (p < -ROW_SUM_TOLERANCE).any(1) | (np.abs(p.sum(1) - 1) > ROW_SUM_TOLERANCE)
    if off.any():
        row = int(off.argmax())
        place, total = f"{NAME}: probabilities[{row}]", float(p[row].sum())
        given = f"{place} sums to {total:g}, and its least value is {p[row].min():g}"
        rule = "rows must be probabilities, and logits need a softmax first"
        raise UserError(rule, setting=place, value=total, given=given)
