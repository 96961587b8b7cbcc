"""Figures of groups and methods as tables show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skedastic.evaluation.metric import Metric, to_digits

if TYPE_CHECKING:
    from skedastic.core.strengths import GroupStats


def estimated_noise(stats: GroupStats, g: int, metric: Metric) -> str:
    """Return the noise of group g with its interval."""
    mean, low, high = (metric.of_noise(float(c[g])) for c in (stats.noise, stats.noise_low, stats.noise_high))
    return interval(mean, low, high, metric)


def noise(value: float | None, metric: Metric) -> str:
    """Return a noise that is known."""
    if value is None or metric.percent:
        return percent(value)
    return metric.text(metric.of_noise(value))


def percent(value: float | None) -> str:
    """Return a share in percent; nothing where it is unknown."""
    return "" if value is None else f"{value * 100:.1f}"


def interval(mean: float, low: float | None, high: float | None, metric: Metric) -> str:
    """Return a figure with the ends of its interval, where it has one."""
    if low is None or high is None:
        return metric.text(mean)
    if not metric.percent:
        return f"{metric.text(mean)} ({to_digits(low, 3)}–{to_digits(high, 3)})"
    return f"{mean * 100:.1f} ({low * 100:.0f}–{high * 100:.0f})"


def over_seeds(row: dict[str, Any] | None, metric: Metric, signed: bool = False) -> str:
    """Return a mean over seeds, or with `signed` a difference, ± half of its interval."""
    if row is None:
        return ""
    mean = metric.difference(row["mean"]) if signed else metric.bare(row["mean"], 4)
    return mean if row["low"] is None else f"{mean} ± {metric.bare(row['high'] - row['mean'], 3)}"
