"""The one figure that a test set gives of a group, and its unit: accuracy of classes, error of numbers.

The noise of a group is written in the same unit: a share of labels, or a deviation of the target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skedastic.data.targets.target import Target, TaskKind
    from skedastic.evaluation.intervals import Interval

ABSENT = "–"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The name and the unit of a metric.

    Parameters
    ----------
    task : TaskKind
        The task that it is of.
    key : str
        Its name in `metrics.json`.
    name, noise, disagreement : str
        The words for it, for a group's noise, and for the disagreement of held-out predictions with its targets.
    percent : bool
        Whether both are rates.
    """

    task: TaskKind
    key: str
    name: str
    noise: str
    disagreement: str
    percent: bool

    @property
    def higher_is_better(self) -> bool:
        """Whether more of it is better."""
        return self.percent

    @property
    def factor(self) -> float:
        """The number that values are multiplied with where they are shown."""
        return 100.0 if self.percent else 1.0

    @property
    def unit(self) -> str:
        """The sign that stands behind a value."""
        return " %" if self.percent else ""

    def text(self, value: float | None) -> str:
        """Return a value with its unit.

        Parameters
        ----------
        value : float or None
            The value; None where it is not known.
        """
        return ABSENT if value is None or not math.isfinite(value) else self.bare(value, 4) + self.unit

    def difference(self, value: float | None) -> str:
        """Return a difference of values, signed: rates in percentage points.

        Parameters
        ----------
        value : float or None
            The difference; None where it is not known.
        """
        if value is None or not math.isfinite(value):
            return ABSENT
        size = self.bare(abs(value), 3)
        return f"{'' if not size.strip('0.') else '+' if value > 0 else '−'}{size}"

    def span(self, interval: Interval, signed: bool = False) -> str:
        """Return the two ends of an interval; nothing where they are unknown. Of a rate they are in 0 to 100 %.

        Parameters
        ----------
        interval : Interval
            Of values, or of differences.
        signed : bool, optional
            Whether the ends are differences, with a sign each.
        """
        if not interval.known:
            return ""
        if signed:
            return f"{self.difference(interval.low)} to {self.difference(interval.high)}"
        low, high = (min(max(end, 0.0), 1.0) if self.percent else end for end in (interval.low, interval.high))
        return f"{self.bare(low, 3)}–{self.bare(high, 3)}"

    def with_span(self, interval: Interval) -> str:
        """Return a value and its interval in one line.

        Parameters
        ----------
        interval : Interval
            Of values.
        """
        return f"{self.text(interval.mean)} ({self.span(interval)})" if interval.known else self.text(interval.mean)

    def of_noise(self, value: float) -> float:
        """Return a group's noise as it is shown: a rate as it is, the deviation of a variance.

        Parameters
        ----------
        value : float
            The noise, a rate in [0, 1] or a variance in squared units.
        """
        return value if self.percent else value**0.5

    def bare(self, value: float, digits: int) -> str:
        """Return a value without its unit: rates in percent.

        Parameters
        ----------
        value : float
            The value.
        digits : int
            Digits that are shown of a value that is no rate.
        """
        return f"{100 * value:.1f}" if self.percent else to_digits(value, digits)


ACCURACY = Metric(
    task="classification", key="accuracy", name="accuracy", noise="noise", disagreement="disagreement", percent=True
)
ERROR = Metric(task="regression", key="rmse", name="error", noise="noise σ", disagreement="deviation", percent=False)


def metric_of(target: Target) -> Metric:
    """Return the metric that predictions of a target are judged by.

    Parameters
    ----------
    target : Target
        The target.
    """
    return {ACCURACY.task: ACCURACY, ERROR.task: ERROR}[target.task]


def to_digits(value: float, digits: int) -> str:
    """Return a number to so many digits, and all of those before the point.

    To four digits, numbers are written as 12,345 or 1.234 or 1.234e-05.

    Parameters
    ----------
    value : float
        The number.
    digits : int
        The number of digits, at least 1.
    """
    if value == 0 or not 1e-4 <= abs(value) < 1e12:
        return f"{value:.{digits}g}"
    return f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
