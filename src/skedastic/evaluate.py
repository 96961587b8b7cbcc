"""How well a model does: overall, in each group, in the worst one, by the groups' size in training,
calibrated or not.

Groups or classes that the test set lacks are null, never NaN: all that is returned can be written as JSON.
Thresholds of many/medium/few: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student
from sklearn.metrics import recall_score

from skedastic.errors import UserError, unknown
from skedastic.group_noise import wilson
from skedastic.measure import measure_of

MANY_ABOVE = 100  # training examples
FEW_BELOW = 20
CALIBRATION_BINS = 15
ROW_SUM_TOLERANCE = 1e-2  # what half precision leaves of a sum of one

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def evaluate(
    probabilities: ArrayLike,
    labels: ArrayLike,
    group: ArrayLike,
    classes: Sequence[str],
    groups: Sequence[str],
    train_count: ArrayLike,
) -> dict[str, Any]:
    """Return the metrics of a test set, all rates in [0, 1], intervals at 95 % (Wilson):

    - `overall`: `accuracy`, `low`, `high`, `n`, `correct`
    - `balanced_accuracy`: the mean of the accuracies of the classes in the test set
    - `worst_group`: `name`, `accuracy`; the first of equals
    - `groups`: for each of G, in order: `name`, `n`, `accuracy`, `low`, `high`; the last three None where n
      is 0
    - `many`, `medium`, `few`: the mean accuracy of the groups with more than 100, 20 to 100, fewer than 20
      training examples; None where there is no such group in the test set
    - `ece`: expected calibration error, 15 equal bins of confidence

    Args:
        probabilities: of each class for each example, [m, C].
        labels: the true classes, [m] integers in 0..C-1.
        group: the examples' groups, [m] integers in 0..G-1.
        classes: the names of the C classes, C at least 2.
        groups: the names of the G groups.
        train_count: the number of training examples of each group, [G].

    Raises:
        UserError: the test set is empty, shapes do not fit together, a label or group has no name, rows are
            not probabilities.
    """
    p, y, g, train = (np.asarray(a) for a in (probabilities, labels, group, train_count))
    p = p.astype(np.float64)
    _check(p, y, g, train, len(classes), len(groups))
    predicted = p.argmax(axis=1)
    right = predicted == y
    n = np.bincount(g, minlength=len(groups))
    per_group = _rates(np.bincount(g[right], minlength=len(groups)), n)
    present = [{"name": name, **rate} for name, rate in zip(groups, per_group, strict=True) if rate["n"]]
    worst = min(present, key=lambda rate: rate["accuracy"])
    [overall] = _rates(np.array([right.sum()]), np.array([len(y)]))
    return {
        "overall": {**overall, "correct": int(right.sum())},
        "balanced_accuracy": float(recall_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)),
        "worst_group": {"name": worst["name"], "accuracy": worst["accuracy"]},
        "groups": [{"name": name, **rate} for name, rate in zip(groups, per_group, strict=True)],
        **by_size(per_group, train, "accuracy"),
        "ece": _calibration_error(p, y),
    }


def mean_of_groups(metrics: Mapping[str, Any], names: Sequence[str]) -> float:
    """Return the mean accuracy, or error, of the named groups in the metrics of a test set; absent ones are left out.

    Raises:
        UserError: a name is no group, or none of them is in the test set.
    """
    figure = {group["name"]: group[measure_of(metrics).key] for group in metrics["groups"]}
    for name in names:
        if name not in figure:
            raise unknown("group", name, figure)
    present = [figure[name] for name in names if figure[name] is not None]
    if not present:
        raise UserError(f"mean_of_groups: the test set has no example of {', '.join(map(repr, names)) or 'no group'}")
    return float(np.mean(present))


def mean_interval(values: Sequence[float], level: float = 0.95) -> dict[str, Any]:
    """Return `mean`, `low`, `high` (Student's t over independent runs) and the `values`.

    One value says nothing of the spread: its `low` and `high` are None. Equal values have an interval of no
    width.

    Raises:
        UserError: there is no value, one is not finite, or `level` is not in (0, 1).
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise UserError(f"mean_interval: needs one or more finite numbers, got {x.tolist()}")
    if not 0 < level < 1:
        raise UserError(f"mean_interval: level is {level}; it must be in (0, 1), for instance 0.95")
    mean = float(x.mean())
    if len(x) == 1:
        return {"mean": mean, "low": None, "high": None, "values": x.tolist()}
    half = float(student.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5)
    return {"mean": mean, "low": mean - half, "high": mean + half, "values": x.tolist()}


def paired(values_a: Sequence[float], values_b: Sequence[float], level: float = 0.95) -> dict[str, Any]:
    """Return `mean_interval` of the differences a − b of runs that share their seed and split.

    Raises:
        UserError: as `mean_interval`, or the two have different lengths.
    """
    if len(values_a) != len(values_b):
        raise UserError(f"paired: needs as many values of one as of the other, got {len(values_a)} and {len(values_b)}")
    return mean_interval([a - b for a, b in zip(values_a, values_b, strict=True)], level)


def _rates(correct: Integers, n: Integers) -> list[dict[str, Any]]:
    """Return `n`, `accuracy`, `low`, `high` for each of the counts [K]; None where n is 0."""
    low, high = wilson(correct, n)
    return [
        {"n": int(total), "accuracy": float(c / total), "low": float(a), "high": float(b)}
        if total
        else {"n": 0, "accuracy": None, "low": None, "high": None}
        for c, total, a, b in zip(correct, n, low, high, strict=True)
    ]


def by_size(per_group: Sequence[Mapping[str, Any]], train: Integers, key: str) -> dict[str, float | None]:
    """Return the mean of a figure over the groups with many, medium and few training examples, train [G]."""
    sizes = {
        "many": train > MANY_ABOVE,
        "medium": (train >= FEW_BELOW) & (train <= MANY_ABOVE),
        "few": train < FEW_BELOW,
    }
    means: dict[str, float | None] = {}
    for size, members in sizes.items():
        found = [rate[key] for rate, member in zip(per_group, members, strict=True) if member and rate["n"]]
        means[size] = float(np.mean(found)) if found else None
    return means


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
        raise UserError(f"evaluate: needs at least 2 classes, got {n_classes}")
    if y.ndim != 1 or p.shape != (len(y), n_classes) or g.shape != y.shape or train.shape != (n_groups,):
        shapes = ", ".join(str(list(a.shape)) for a in (p, y, g, train))
        raise UserError(
            f"evaluate: needs probabilities [m, {n_classes}], labels [m], group [m], train_count [{n_groups}], "
            f"got shapes {shapes}"
        )
    if not len(y):
        raise UserError("evaluate: the test set is empty; it needs at least one example")
    for what, numbers, bound in (("labels", y, n_classes), ("group", g, n_groups)):
        if numbers.min() < 0 or numbers.max() >= bound:
            raise UserError(f"evaluate: {what} must be in 0..{bound - 1}, got {numbers.min()}..{numbers.max()}")
    if not np.isfinite(p).all():
        row = int((~np.isfinite(p)).any(1).argmax())
        raise UserError(f"evaluate: row {row} of the probabilities is not finite")
    wrong = (p < -ROW_SUM_TOLERANCE).any(1) | (np.abs(p.sum(1) - 1) > ROW_SUM_TOLERANCE)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"evaluate: row {row} of the probabilities sums to {p[row].sum():g}, least value "
            f"{p[row].min():g}; rows must be probabilities, and logits need a softmax first"
        )
