"""How far off the predictions of real targets are: overall, in each group, in the worst one, by the groups' size.

All errors are in the target's units. Groups that the test set lacks are null, never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from skedastic.errors import UserError
from skedastic.evaluation.classification import Floats, by_size

NOTHING = dict.fromkeys(("rmse", "low", "high", "mae", "mae_low", "mae_high"))


def evaluate_regression(
    predicted: ArrayLike, targets: ArrayLike, group: ArrayLike, groups: Sequence[str], train_count: ArrayLike
) -> dict[str, Any]:
    """Return the metrics of a test set of real targets:

    - `overall`: `n`, `rmse` (root mean squared error), `low`, `high`, `mae` (mean absolute error), `mae_low`,
      `mae_high`, and `r2`, the share of the targets' variance that the predictions explain (None where there is none)
    - `worst_group`: `name`, `rmse`: the group with the largest error; the first of equals
    - `groups`: for each of G, in order: `name`, `n` and the same figures without `r2`; None where n is 0
    - `many`, `medium`, `few`: the mean `rmse` of the groups by their training examples, as in `evaluate`

    Intervals are 95 %, of Student's t on the logarithm of the mean; None where n is 1.

    Args:
        predicted: [m]. targets: [m]. group: [m] integers in 0..G-1. groups: the names of the G groups.
        train_count: the number of training examples of each group, [G].

    Raises:
        UserError: the test set is empty, shapes do not fit together, a group has no name, a number is not finite.
    """
    p, y = (np.asarray(a, dtype=np.float64) for a in (predicted, targets))
    g, train = np.asarray(group), np.asarray(train_count)
    _check(p, y, g, train, len(groups))
    off = y - p
    per_group = [_errors(off[g == k]) for k in range(len(groups))]
    present = [{"name": name, **row} for name, row in zip(groups, per_group, strict=True) if row["n"]]
    worst = max(present, key=lambda row: row["rmse"])
    spread = float(((y - y.mean()) ** 2).sum())
    return {
        "overall": {**_errors(off), "r2": 1 - float((off**2).sum()) / spread if spread else None},
        "worst_group": {"name": worst["name"], "rmse": worst["rmse"]},
        "groups": [{"name": name, **row} for name, row in zip(groups, per_group, strict=True)],
        **by_size(per_group, train, "rmse"),
    }


def _errors(off: Floats) -> dict[str, Any]:
    """Return `n`, both errors and their intervals, for residuals [n]."""
    if not len(off):
        return {"n": 0, **NOTHING}
    square, low_square, high_square = _mean_of_positive(off**2)
    mean, low, high = _mean_of_positive(np.abs(off))
    root = [None if v is None else v**0.5 for v in (square, low_square, high_square)]
    return {"n": len(off), **dict(zip(NOTHING, (*root, mean, low, high), strict=True))}


def _mean_of_positive(values: Floats) -> tuple[float, float | None, float | None]:
    mean = float(values.mean())
    if len(values) < 2:
        return mean, None, None
    if mean == 0:
        return 0.0, 0.0, 0.0
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / len(values) ** 0.5 / mean
    return mean, mean * float(np.exp(-half)), mean * float(np.exp(half))


def _check(p: Floats, y: Floats, g: np.ndarray, train: np.ndarray, n_groups: int) -> None:
    if y.ndim != 1 or not p.shape == y.shape == g.shape or train.shape != (n_groups,):
        shapes = ", ".join(str(list(a.shape)) for a in (p, y, g, train))
        raise UserError(
            f"evaluate_real: needs predictions [m], targets [m], group [m], train_count [{n_groups}], got shapes {shapes}"
        )
    if not len(y):
        raise UserError("evaluate_real: the test set is empty; it needs at least one example")
    if g.min() < 0 or g.max() >= n_groups:
        raise UserError(f"evaluate_real: group must be in 0..{n_groups - 1}, got {g.min()}..{g.max()}")
    for what, numbers in (("predictions", p), ("targets", y)):
        if not np.isfinite(numbers).all():
            raise UserError(f"evaluate_real: row {int((~np.isfinite(numbers)).argmax())} of the {what} is not finite")
