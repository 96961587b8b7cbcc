"""The axes of a chart: the place of a value on an axis, in percent, and the numbers beside the axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MARGIN = 0.05  # share of an axis that is left free at each end
ALIKE = 1e-9  # relative difference below which values are the same, and steps fit
MOST_MULTIPLES = 5  # ticks on a logarithmic axis too short for other numbers
STEPS = (2, 5, 10)  # times a power of ten
LETTERS = {-9: "n", -6: "μ", 0: "", 3: "k", 6: "M", 9: "B", 12: "T"}  # by exponent of ten


@dataclass(frozen=True)
class Tick:
    """A number beside an axis; `at` is its place, in percent of the axis from its low end."""

    at: float
    text: str


@dataclass(frozen=True)
class Linear:
    """An axis from `low` to `high`, in the unit that is shown, where low < high."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return where a value stands, in percent of the axis from its low end."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self, most: float, unit: str = "", least: float = 0.0) -> list[Tick]:
        """Return ticks at multiples of 2, 5 or 10 times a power of ten.

        Parameters
        ----------
        most : float
            The largest number of ticks, approximately.
        unit : str, optional
            Text after each number.
        least : float, optional
            The smallest step, such as 1 between whole numbers.
        """
        step = max(least, _nice((self.high - self.low) / most))
        exponent = _exponent(max(abs(self.low), abs(self.high)))
        return [Tick(self.at(v), _written(v, step, exponent) + unit) for v in _multiples(step, self.low, self.high)]


@dataclass(frozen=True)
class Logarithmic:
    """An axis of positive values; `decades` is the axis of their decimal logarithms."""

    decades: Linear

    def at(self, value: float) -> float:
        """Return where a value stands, in percent of the axis from its low end."""
        return self.decades.at(math.log10(value))

    def ticks(self) -> list[Tick]:
        """Return ticks at powers of ten.

        Where fewer than two are on the axis, 2 and 5 times the powers are added. Where that is still too few, the
        ticks are multiples of one step.
        """
        low, high = 10.0**self.decades.low, 10.0**self.decades.high
        powers = [10.0**i for i in range(math.floor(self.decades.low), math.ceil(self.decades.high) + 1)]
        step = _nice((high - low) / MOST_MULTIPLES)
        on_axis: list[float] = []
        for values in (powers, [f * p for p in powers for f in (1, 2, 5)], _multiples(step, low, high)):
            on_axis = [v for v in values if low <= v <= high]
            if len(on_axis) > 1:
                break
        return [Tick(self.at(v), _written(v, min(v, step), _exponent(v))) for v in on_axis]


def linear(values: Iterable[float], from_zero: bool = False) -> Linear:
    """Return an axis that holds all finite values, with a margin at both ends.

    Parameters
    ----------
    values : iterable of float
        The values, in the unit that is shown.
    from_zero : bool, optional
        Whether the axis begins at zero, unless a value is below it.
    """
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if from_zero and low >= 0:
        return Linear(0.0, high / (1 - MARGIN) or 1.0)
    if high - low <= ALIKE * max(abs(low), abs(high)):
        around = max(1.0, abs(low) / 1000)
        return Linear(low - around, high + around)
    margin = (high - low) * MARGIN / (1 - 2 * MARGIN)
    return Linear(low - margin, high + margin)


def logarithmic(values: Iterable[float]) -> Logarithmic:
    """Return a logarithmic axis that holds all values, each of them positive."""
    return Logarithmic(linear(math.log10(v) for v in values))


def _nice(rough: float) -> float:
    """Return the smallest step that is at least `rough`, up to rounding."""
    base = 10.0 ** math.floor(math.log10(rough))
    return next(step * base for step in STEPS if step * base >= rough * (1 - ALIKE))


def _multiples(step: float, low: float, high: float) -> list[float]:
    """Return the multiples of a step from `low` to `high`."""
    return [i * step for i in range(math.ceil(low / step - ALIKE), math.floor(high / step + ALIKE) + 1)]


def _exponent(size: float) -> int:
    """Return the power of ten that numbers of this size are written with; 0 from 0.001 to 9999."""
    exponent = math.floor(math.log10(size) + ALIKE)
    return exponent // 3 * 3 if abs(exponent) > 3 else 0


def _written(value: float, step: float, exponent: int) -> str:
    """Return a multiple of `step`, such as 0.5 or −20, or 15k where the exponent is 3."""
    if exponent not in LETTERS:
        return f"{value:g}".replace("-", "−")
    digits = max(0, -math.floor(math.log10(step) - exponent + ALIKE))
    text = f"{value / 10.0**exponent:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if digits else text
    return text.replace("-", "−") + LETTERS[exponent] if value else "0"
