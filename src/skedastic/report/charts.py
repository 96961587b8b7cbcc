"""The report's charts: noise and accuracy, or error, in rows of groups, noise against size, training curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from skedastic.report.chart_rows import ChartRows
from skedastic.report.marks import TICK, Chart, Curve, Mark, Points
from skedastic.report.scales import Linear, linear, logarithmic
from skedastic.report.style import FOCUS, KNOWN, NOISE, SeriesStyle, series_styles
from skedastic.report.words import shortened, strength, thousands

if TYPE_CHECKING:
    from skedastic.evaluation.intervals import Interval
    from skedastic.evaluation.metric import Metric
    from skedastic.report.content import GroupRow, Report

MOST_ROWS = 30  # groups that a chart of rows can hold; more become a cloud of points
LONGEST = 120  # characters of a name in a legend, and in the description of a mark
CLOUD, CURVES = 336, 215  # pixels of the height of a plot
MOST_ACROSS, MOST_EPOCHS = 5, 8  # ticks below a plot
PIXELS = 40  # of the height of a plot for each tick beside it


def order(groups: Sequence[GroupRow]) -> list[GroupRow]:
    """Return the groups, the most regularized first; without strengths, the noisiest first."""
    return sorted(groups, key=lambda g: (-(g.strength or 0), -(g.noise.mean if g.noise else 0)))


def method_styles(report: Report) -> dict[str, SeriesStyle]:
    """Return the style of each method."""
    return series_styles([*(method.name for method in report.methods), *report.history])


def figures(report: Report) -> dict[str, Chart]:
    """Return the charts that the report has values for: "noise", "score", "loss", "fit"."""
    metric, styles = report.metric, method_styles(report)
    chosen = _most_telling(report.groups)
    measured = {name: style for name, style in styles.items() if any(_drawn(g.score.get(name)) for g in chosen)}
    rows = ChartRows(chosen, len(measured))
    drawn = {}
    if any(_drawn(g.noise) for g in report.groups):
        few = len(report.groups) <= MOST_ROWS
        drawn["noise"] = noise_by_group(rows, metric) if few else noise_by_size(report.groups, metric)
    if measured:
        drawn["score"] = score_by_group(rows, measured, metric)
    for name, key, scale, unit in (("loss", "loss", 1, ""), ("fit", "accuracy", 100, " %")):
        curves = {m: [scale * v for v in c.get(key, ())] for m, c in report.history.items()}
        curves = {m: values for m, values in curves.items() if len(values) > 1}
        if curves:
            drawn[name] = training_curves(curves, styles, unit)
    return drawn


def noise_by_group(rows: ChartRows, metric: Metric) -> Chart:
    """Return the estimated noise of each group with its interval; the known noise is a tick behind it."""
    estimated = [(i, g, noise) for i, g in enumerate(rows.groups) if (noise := _drawn(g.noise))]
    known = [(i, g, n) for i, g in enumerate(rows.groups) if (n := g.true_noise) is not None and math.isfinite(n)]
    values = [*_ends((noise for *_, noise in estimated), metric), *(metric.factor * noise for *_, noise in known)]
    x = linear(values, from_zero=True)
    marks = [_in_row(x, rows.y(i), n, 9, _describe(g, metric), metric) for i, g, n in estimated]
    series = [Points(name="estimated", colour=NOISE, symbol="circle", size=9, marks=marks)]
    if known:
        ticks = [
            Mark(
                x=x.at(metric.factor * noise),
                y=rows.y(i),
                size=18,
                hover=f"{shortened(group.name, LONGEST)}\nknown noise {metric.text(noise)}",
            )
            for i, group, noise in known
        ]
        series.append(Points(name="known", colour=KNOWN, symbol=TICK, size=18, marks=ticks))
    return Chart(
        height=rows.total,
        series=series,
        first_on_top=True,
        x_ticks=x.ticks(MOST_ACROSS, metric.unit),
        rows=rows.names(sizes=True),
        names_above=rows.named_above,
    )


def noise_by_size(groups: Sequence[GroupRow], metric: Metric) -> Chart:
    """Return noise against size, with a point for each group; its size grows with the strength."""
    strongest = max((g.strength or 0 for g in groups), default=0) or 1
    shown = [(g, noise) for g in groups if (noise := _drawn(g.noise)) and g.train > 0]
    x = logarithmic(g.train for g, _ in shown)
    y = linear(_ends((noise for _, noise in shown), metric), from_zero=True)

    def mark(group: GroupRow, noise: Interval) -> Mark:
        across = x.at(group.train)
        low, mean, high = (100 - y.at(metric.factor * v) for v in _values(noise))
        return Mark(
            x=across,
            y=round(mean, 2),
            bar=(across, round(low, 2), across, round(high, 2)) if noise.known else None,
            size=6 + 10 * ((group.strength or 0) / strongest) ** 0.5,
            hover=_describe(group, metric),
        )

    series = [
        Points(
            name=name,
            colour=colour,
            symbol=symbol,
            size=9,
            marks=[mark(g, noise) for g, noise in shown if g.focus == focus],
            thickness=0.6,
            opacity=0.75,
        )
        for name, focus, colour, symbol in (
            ("other groups", False, NOISE, "circle"),
            ("focus groups", True, FOCUS, "diamond"),
        )
    ]
    return Chart(
        height=CLOUD,
        series=[points for points in series if points.marks],
        x_ticks=x.ticks(),
        x_title="training rows (logarithmic)",
        y_ticks=y.ticks(CLOUD / PIXELS + 1, metric.unit),
    )


def score_by_group(rows: ChartRows, styles: Mapping[str, SeriesStyle], metric: Metric) -> Chart:
    """Return the accuracy, or error, of each method in each group, with intervals."""
    step = 0.7 / max(len(styles), 2)
    scores = {m: [(i, g, s) for i, g in enumerate(rows.groups) if (s := _drawn(g.score.get(m)))] for m in styles}
    x = linear(_ends((score for of_method in scores.values() for *_, score in of_method), metric))
    series = []
    for k, (method, of_method) in enumerate(scores.items()):
        name, style, shift = shortened(method, LONGEST), styles[method], step * (k - (len(styles) - 1) / 2)
        marks = []
        for i, group, score in of_method:
            hover = f"{shortened(group.name, LONGEST)}\n{name} {metric.with_span(score)}"
            marks.append(_in_row(x, rows.y(i, shift), score, 8, hover, metric))
        series.append(Points(name=name, colour=style.colour, symbol=style.symbol, size=8, marks=marks))
    return Chart(
        height=rows.total,
        series=series,
        x_ticks=x.ticks(MOST_ACROSS, metric.unit),
        rows=rows.names(),
        names_above=rows.named_above,
    )


def training_curves(curves: Mapping[str, Sequence[float]], styles: Mapping[str, SeriesStyle], unit: str) -> Chart:
    """Return one line for each method, over epochs from 1."""
    x = Linear(1, max(map(len, curves.values())))
    y = linear((v for values in curves.values() for v in values), from_zero=not unit)
    series = [
        Curve(
            name=shortened(method, LONGEST),
            colour=styles[method].colour,
            dash=styles[method].dash,
            places=[
                (x.at(epoch), round(100 - y.at(v), 2)) if math.isfinite(v) else None
                for epoch, v in enumerate(values, start=1)
            ],
            values=[f"{v:.3g}{unit}" if math.isfinite(v) else "" for v in values],
        )
        for method, values in curves.items()
    ]
    return Chart(
        height=CURVES,
        series=series,
        x_ticks=x.ticks(MOST_EPOCHS, least=1),
        x_title="epoch",
        y_ticks=y.ticks(CURVES / PIXELS + 1, unit),
    )


def _in_row(x: Linear, y: float, interval: Interval, size: float, hover: str, metric: Metric) -> Mark:
    """Return a mark at the mean of an interval, with a bar from end to end; `y` is in percent of the plot."""
    low, mean, high = (x.at(metric.factor * v) for v in _values(interval))
    return Mark(x=mean, y=y, bar=(low, y, high, y) if interval.known else None, size=size, hover=hover)


def _drawn(interval: Interval | None) -> Interval | None:
    """Return an interval whose mean is finite, else None."""
    return interval if interval and math.isfinite(interval.mean) else None


def _values(interval: Interval) -> tuple[float, float, float]:
    """Return low end, mean and high end of an interval; the mean stands for an end that is unknown."""
    if not interval.known:
        return interval.mean, interval.mean, interval.mean
    return interval.low, interval.mean, interval.high


def _ends(intervals: Iterable[Interval], metric: Metric) -> list[float]:
    """Return all values of intervals, in the unit that is shown."""
    return [metric.factor * value for interval in intervals for value in _values(interval)]


def _most_telling(groups: Sequence[GroupRow]) -> list[GroupRow]:
    """Return at most `MOST_ROWS` groups in order: the focus groups, then the most regularized."""
    return order(sorted(order(groups), key=lambda g: not g.focus)[:MOST_ROWS])


def _describe(group: GroupRow, metric: Metric) -> str:
    lines = [shortened(group.name, LONGEST), f"{thousands(group.train)} training rows"]
    if group.noise:
        lines.append(f"{metric.disagreement} {metric.with_span(group.noise)}")
    if group.strength is not None:
        lines.append(f"strength {strength(group.strength)}")
    return "\n".join(lines)
