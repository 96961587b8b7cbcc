"""The one figure that a test set gives of a group, and how it is written: accuracy of classes, error of numbers.

The noise of a group is in the same unit: a share of labels, or a deviation of the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = "–"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """key: of the figure in `metrics`. factor: what it is multiplied with where it is shown, `unit` with its number."""

    key: str
    name: str
    noise: str  # what the noise of a group is
    higher_is_better: bool
    factor: float
    unit: str  # of a value
    points: str  # of a difference

    def text(self, value: float | None, *, unit: bool = True, signed: bool = False) -> str:
        """Return a value as a reader sees it: to one decimal in percent, else to four digits."""
        if value is None or not math.isfinite(value):
            return ABSENT
        shown = f"{self.factor * abs(value):.1f}" if self.unit else four_digits(abs(value))
        zero = not shown.strip("0.,")
        sign = "" if zero else "−" if value < 0 else "+" if signed else ""
        return f"{sign}{shown}{self.unit if unit else ''}"

    def gain(self, difference: float) -> float:
        """Return by how much a value that is larger by `difference` is better; negative where it is worse."""
        return difference if self.higher_is_better else -difference


ACCURACY = Measure(
    key="accuracy", name="accuracy", noise="noise", higher_is_better=True, factor=100.0, unit=" %", points="points"
)
ERROR = Measure(key="rmse", name="error", noise="noise σ", higher_is_better=False, factor=1.0, unit="", points="")


def measure_of(metrics: Mapping[str, Any]) -> Measure:
    """Return which measure the metrics of a test set hold."""
    return ACCURACY if ACCURACY.key in metrics["overall"] else ERROR


def four_digits(value: float) -> str:
    """Return a number to four digits: 12,345 or 1.234 or 0.00001234."""
    if value == 0 or not 1e-4 <= abs(value) < 1e12:
        return f"{value:.4g}"
    return f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
