"""The metrics of predicted numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from skedastic.errors import UserError
from skedastic.evaluation.intervals import Floats
from skedastic.evaluation.metrics import BySize, Error, RegressionMetrics, WorstGroup

NAME = "evaluate_regression"  # in errors
NO_ROWS = Error(n=0, rmse=None, low=None, high=None, mae=None, mae_low=None, mae_high=None)


def evaluate_regression(
    predicted: ArrayLike, targets: ArrayLike, group: ArrayLike, groups: Sequence[str], train_count: ArrayLike
) -> RegressionMetrics:
    """Return the metrics of a test set.

    Parameters
    ----------
    predicted, targets : ArrayLike
        [m], in the target's units.
    group : ArrayLike
        The examples' groups, [m] integers in 0..G-1.
    groups : sequence of str
        The names of the G groups.
    train_count : ArrayLike
        The number of training examples of each group, [G].

    Raises
    ------
    UserError
        The test set is empty, shapes do not fit together, a group has no name, or a number is not finite.
    """
    p, y = (np.asarray(a, dtype=np.float64) for a in (predicted, targets))
    g, train = np.asarray(group), np.asarray(train_count)
    _check(p, y, g, train, len(groups))
    off = y - p
    per_group = [_errors(off[g == k]) for k in range(len(groups))]
    named = dict(zip(groups, per_group, strict=True))
    spread = float(((y - y.mean()) ** 2).sum())
    return RegressionMetrics(
        overall=_errors(off),
        r2=1 - float((off**2).sum()) / spread if spread else None,
        worst_group=WorstGroup.of(named, RegressionMetrics.metric),
        groups=named,
        by_size=BySize.of(per_group, train),
    )


def _errors(off: Floats) -> Error:
    """Return both errors and their intervals for residuals [n]."""
    if not len(off):
        return NO_ROWS
    square, low_square, high_square = _mean_of_positive(off**2)
    mae, mae_low, mae_high = _mean_of_positive(np.abs(off))
    rmse, low, high = (None if v is None else v**0.5 for v in (square, low_square, high_square))
    return Error(n=len(off), rmse=rmse, low=low, high=high, mae=mae, mae_low=mae_low, mae_high=mae_high)


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
        rule = f"needs predicted [m], targets [m], group [m], train_count [{n_groups}]"
        raise UserError(rule, setting=NAME, value=shapes, given=f"{NAME}: got shapes {shapes}")
    if not len(y):
        raise UserError("the test set is empty; it needs at least one example", setting=f"{NAME}: targets")
    if g.min() < 0 or g.max() >= n_groups:
        wrong = g.min() if g.min() < 0 else g.max()
        raise UserError(f"must be in 0..{n_groups - 1}", setting=f"{NAME}: group", value=wrong)
    for name, numbers in (("predicted", p), ("targets", y)):
        if not np.isfinite(numbers).all():
            row = int((~np.isfinite(numbers)).argmax())
            raise UserError("must be finite", setting=f"{NAME}: {name}[{row}]", value=float(numbers[row]))
