"""How the report writes its numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skedastic.report.content import Interval

ABSENT = "–"


def percent(value: float | None) -> str:
    """Return a rate in [0, 1] in percent, to one decimal."""
    return ABSENT if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def points(value: float | None) -> str:
    """Return a difference of rates in percentage points, signed, to one decimal."""
    if value is None or not math.isfinite(value):
        return ABSENT
    rounded = round(100 * value, 1)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else ""
    return f"{sign}{abs(rounded):.1f}"


def span(interval: Interval, signed: bool = False) -> str:
    """Return the two ends of an interval; nothing where they are unknown."""
    if not interval.known:
        return ""
    if signed:
        return f"{points(interval.low)} to {points(interval.high)}"
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def percent_with_span(interval: Interval) -> str:
    """Return a rate and its interval in one line."""
    return f"{percent(interval.mean)} ({span(interval)})" if interval.known else percent(interval.mean)


def duration(seconds: float) -> str:
    """Return a time that one reads at a glance."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def strength(value: float | None) -> str:
    """Return a strength to three digits."""
    return ABSENT if value is None else f"{value:#.3g}".rstrip(".")


def thousands(value: int) -> str:
    """Return a number of things."""
    return f"{value:,}"
