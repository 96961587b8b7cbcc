"""Intervals of figures: of a mean over seeds, of a paired difference, of a rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from skedastic.errors import UserError

Floats = NDArray[np.float64]

LEAST_ROWS = 30
"""The rows that a group must have to be a headline: a 95 % interval of its rate is then at most ±17 points (Wilson).
Of 10 rows it is up to ±26, and the worst of many small groups is the unluckiest."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its 95 % interval: rates in [0, 1], errors, or differences of either.

    Parameters
    ----------
    mean : float
        The mean.
    low, high : float
        The ends of the interval; NaN where the spread is unknown (one run), and only the mean is shown.
    """

    mean: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether both ends are finite numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def mean_interval(values: Sequence[float], level: float = 0.95) -> dict[str, Any]:
    """Return `mean`, `low`, `high` (Student's t over independent runs) and the `values`.

    One value says nothing of the spread: its `low` and `high` are None. Equal values have an interval of no width.

    Parameters
    ----------
    values : sequence of float
        The value of each run, at least one, finite.
    level : float, optional
        The probability that the interval holds the mean, in (0, 1).

    Raises
    ------
    UserError
        There is no value, one is not finite, or `level` is not in (0, 1).
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise UserError("needs one or more finite numbers", setting="mean_interval: values", value=x.tolist())
    if not 0 < level < 1:
        raise UserError("must be in (0, 1), for instance 0.95", setting="mean_interval: level", value=level)
    mean = float(x.mean())
    if len(x) == 1:
        return {"mean": mean, "low": None, "high": None, "values": x.tolist()}
    half = float(stdtrit(len(x) - 1, (1 + level) / 2) * x.std(ddof=1) / len(x) ** 0.5)
    return {"mean": mean, "low": mean - half, "high": mean + half, "values": x.tolist()}


def paired(values_a: Sequence[float], values_b: Sequence[float], level: float = 0.95) -> dict[str, Any]:
    """Return `mean_interval` of the differences a − b of runs that share their seed and split.

    Parameters
    ----------
    values_a, values_b : sequence of float
        The value of each run, in the same order, finite.
    level : float, optional
        The probability that the interval holds the mean difference, in (0, 1).

    Raises
    ------
    UserError
        As in `mean_interval`, or the two have different lengths.
    """
    if len(values_a) != len(values_b):
        sizes = f"{len(values_a)} and {len(values_b)}"
        rule = "needs as many values of one as of the other"
        raise UserError(rule, setting="paired", value=sizes, given=f"paired: got {sizes}")
    return mean_interval([a - b for a, b in zip(values_a, values_b, strict=True)], level)


def wilson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the ends (low [G], high [G]) of the Wilson score interval; no trials give [0, 1].

    It holds the rates p with |successes/trials − p| ≤ z (p (1 − p) / trials)^{1/2}, for all groups at once
    (`scipy.stats.binomtest` gives the same, one group at a time).

    Parameters
    ----------
    successes : ArrayLike
        The number of successes of each group, [G] in 0..trials.
    trials : ArrayLike
        The number of trials of each group, [G], at least 0.
    level : float, optional
        The probability that the interval holds the rate, in (0, 1).
    """
    s, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    z = ndtri((1 + level) / 2)
    centre = (s + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(s * (n - s) / np.maximum(n, 1) + z**2 / 4)
    # No success leaves 0 in the interval, nothing but successes 1: exactly, whatever the rounding.
    return np.where(s == 0, 0.0, centre - half), np.where(s == n, 1.0, centre + half)
