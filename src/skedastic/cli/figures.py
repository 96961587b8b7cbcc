"""Figures of groups and methods as tables show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skedastic.evaluation.metric import ABSENT, Metric, to_digits

if TYPE_CHECKING:
    from skedastic.evaluation.intervals import Interval
    from skedastic.noise.findings import Findings

NARROW = 2.0  # points, an interval whose ends are written with a decimal


def found_columns(metric: Metric, *, uncertain: bool = False) -> tuple[str, ...]:
    """Return the heads of the columns that `found` fills."""
    if not metric.percent:
        return (f"{metric.disagreement} (95 %)",)
    return ("disagree", "wrong (95 %)", *["uncertain (95 %)"] * uncertain)


def found(findings: Findings | None, g: int, metric: Metric, *, uncertain: bool = False) -> tuple[str, ...]:
    """Return the disagreement with group g, how many of its labels are wrong, and how uncertain labels are there.

    In place of a figure that is not shown it says why, once.
    """
    if findings is None:
        return ("",) * len(found_columns(metric, uncertain=uncertain))
    shown, why = findings.shown(g, metric), findings.withheld[g]
    if not metric.percent:
        return (_figure(shown, why, metric),)
    why_wrong, why_uncertain = findings.wrong_withheld[g], findings.uncertain_withheld[g]
    return (
        f"{ABSENT} {why}" if shown is None else percent(shown.mean),
        _figure(findings.wrong[g], "" if why_wrong == why else why_wrong, metric),
        *[_figure(findings.uncertain[g], "" if why_uncertain == why_wrong else why_uncertain, metric)] * uncertain,
    )


def _figure(figure: Interval | None, why: str, metric: Metric) -> str:
    if figure is None:
        return f"{ABSENT} {why}".rstrip()
    return interval(figure.mean, figure.low, figure.high, metric)


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
    digits = 0 if (high - low) * 100 >= NARROW else 1
    return f"{mean * 100:.1f} ({low * 100:.{digits}f}–{high * 100:.{digits}f})"


def over_seeds(row: dict[str, Any] | None, metric: Metric, signed: bool = False) -> str:
    """Return a mean over seeds, or with `signed` a difference, ± half of its interval."""
    if row is None:
        return ""
    mean = metric.difference(row["mean"]) if signed else metric.bare(row["mean"], 4)
    return mean if row["low"] is None else f"{mean} ± {metric.bare(row['high'] - row['mean'], 3)}"
