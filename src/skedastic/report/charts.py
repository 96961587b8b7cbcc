"""The report's charts, by plotly: noise and accuracy, or error, in rows of groups, noise against size, training curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.io import to_json as figure_to_json

from skedastic.report.chart_rows import Rows
from skedastic.report.style import FOCUS, KNOWN, NOISE, Look, bars, looks, plain, text
from skedastic.report.words import strength, thousands

if TYPE_CHECKING:
    from skedastic.evaluation.metric import Measure
    from skedastic.report.content import GroupRow, Report

MOST_ROWS = 30  # groups that a chart of rows can hold; more become a cloud of points


def order(groups: Sequence[GroupRow]) -> list[GroupRow]:
    """Return the groups, the most regularized first; without strengths, the noisiest first."""
    return sorted(groups, key=lambda g: (-(g.strength or 0), -(g.noise.mean if g.noise else 0)))


def method_looks(report: Report) -> dict[str, Look]:
    """Return how each method looks."""
    return looks([*(method.name for method in report.methods), *report.history])


def figures(report: Report) -> dict[str, go.Figure]:
    """Return the figures that the report has something for: "noise", "score", "loss", "fit"."""
    measure, methods = report.measure, method_looks(report)
    chosen = _most_telling(report.groups)
    measured = {name: look for name, look in methods.items() if any(name in g.score for g in chosen)}
    rows = Rows(chosen, len(measured), measure.unit)
    found = {}
    if any(g.noise for g in report.groups):
        few = len(report.groups) <= MOST_ROWS
        found["noise"] = noise_by_group(rows, measure) if few else noise_by_size(report.groups, measure)
    if measured:
        found["score"] = score_by_group(rows, measured, measure)
    for name, key, scale, suffix in (("loss", "loss", 1, ""), ("fit", "accuracy", 100, " %")):
        curves = {m: [scale * v for v in c.get(key, ())] for m, c in report.history.items()}
        curves = {m: values for m, values in curves.items() if len(values) > 1}
        if curves:
            found[name] = training_curves(curves, methods, suffix)
    return found


def to_json(found: Mapping[str, go.Figure]) -> str:
    """Return the figures as one JSON object by name; NaN becomes null."""
    return "{" + ",".join(f"{json.dumps(name)}:{figure_to_json(f)}" for name, f in found.items()) + "}"


def noise_by_group(rows: Rows, measure: Measure) -> go.Figure:
    """Return the estimated noise of each group with its interval, and the known noise as a tick."""
    known = [(i, g, g.true_noise) for i, g in enumerate(rows.groups) if g.true_noise is not None]
    estimated = [(i, g, g.noise) for i, g in enumerate(rows.groups) if g.noise]
    figure = go.Figure()
    if known:
        figure.add_scatter(
            name="known",
            mode="markers",
            x=[measure.factor * noise for _, _, noise in known],
            y=[rows.y(i) for i, _, _ in known],
            marker={"symbol": "line-ns-open", "size": 18, "color": KNOWN, "line": {"width": 3}},
            hovertemplate="%{customdata}<br>known noise "
            + ("%{x:.1f} %" if measure.percent else "%{x:.4~g}")
            + "<extra></extra>",
            customdata=[text(g.name) for _, g, _ in known],
        )
    figure.add_scatter(
        name="estimated",
        mode="markers",
        x=[measure.factor * noise.mean for _, _, noise in estimated],
        y=[rows.y(i) for i, _, _ in estimated],
        error_x=bars([noise for _, _, noise in estimated], NOISE, measure.factor),
        marker={"symbol": "circle", "size": 9, "color": NOISE},
        hovertemplate="%{customdata}<extra></extra>",
        customdata=[_describe(g, measure) for _, g, _ in estimated],
    )
    figure.update_traces(cliponaxis=False)
    figure.update_xaxes(rangemode="tozero")
    figure.update_layout(legend_traceorder="reversed")
    return rows.lay_out(figure, sizes=True)


def noise_by_size(groups: Sequence[GroupRow], measure: Measure) -> go.Figure:
    """Return noise against size, a point for each group, larger where the strength is."""
    strongest = max((g.strength or 0 for g in groups), default=0) or 1
    figure = go.Figure()
    for name, focus, colour in (("other groups", False, NOISE), ("focus groups", True, FOCUS)):
        some = [(g, g.noise) for g in groups if g.noise and g.focus == focus and g.train > 0]
        if not some:
            continue
        figure.add_scatter(
            name=name,
            mode="markers",
            x=[g.train for g, _ in some],
            y=[measure.factor * noise.mean for _, noise in some],
            error_y=bars([noise for _, noise in some], colour, measure.factor) | {"thickness": 0.6},
            marker={
                "symbol": "diamond" if focus else "circle",
                "size": [6 + 10 * ((g.strength or 0) / strongest) ** 0.5 for g, _ in some],
                "color": colour,
                "opacity": 0.75,
                "line": {"width": 0},
            },
            hovertemplate="%{customdata}<extra></extra>",
            customdata=[_describe(g, measure) for g, _ in some],
        )
    figure.update_xaxes(title="training rows (logarithmic)", type="log", dtick=1)
    figure.update_yaxes(ticksuffix=measure.unit, rangemode="tozero")
    return plain(figure, 420)


def score_by_group(rows: Rows, methods: Mapping[str, Look], measure: Measure) -> go.Figure:
    """Return the accuracy, or error, of each method in each group, with intervals."""
    step = 0.7 / max(len(methods), 2)
    figure = go.Figure()
    for k, (method, look) in enumerate(methods.items()):
        found = [(i, g, g.score[method]) for i, g in enumerate(rows.groups) if method in g.score]
        shift = step * (k - (len(methods) - 1) / 2)
        figure.add_scatter(
            name=text(method),
            mode="markers",
            x=[measure.factor * score.mean for _, _, score in found],
            y=[rows.y(i, shift) for i, _, _ in found],
            error_x=bars([score for _, _, score in found], look.colour, measure.factor),
            marker={"symbol": look.symbol, "size": 8, "color": look.colour},
            hovertemplate="%{customdata}<extra></extra>",
            customdata=[f"{text(g.name)}<br>{text(method)} {measure.with_span(s)}" for _, g, s in found],
        )
    return rows.lay_out(figure)


def training_curves(curves: Mapping[str, Sequence[float]], methods: Mapping[str, Look], suffix: str) -> go.Figure:
    """Return one line for each method, over epochs from 1."""
    figure = go.Figure()
    for method, values in curves.items():
        look = methods[method]
        figure.add_scatter(
            name=text(method),
            mode="lines",
            x=list(range(1, len(values) + 1)),
            y=list(values),
            line={"color": look.colour, "dash": look.dash, "width": 2},
            hovertemplate=f"%{{fullData.name}}, epoch %{{x}}: %{{y:.3~g}}{suffix}<extra></extra>",
        )
    longest = max(map(len, curves.values()))
    figure.update_xaxes(title="epoch", nticks=8, dtick=1 if longest <= 8 else None)
    figure.update_yaxes(ticksuffix=suffix, rangemode="normal" if suffix else "tozero")
    return plain(figure, 300)


def _most_telling(groups: Sequence[GroupRow]) -> list[GroupRow]:
    """Return at most `MOST_ROWS` groups in order: the focus groups, then the most regularized."""
    return order(sorted(order(groups), key=lambda g: not g.focus)[:MOST_ROWS])


def _describe(group: GroupRow, measure: Measure) -> str:
    lines = [text(group.name), f"{thousands(group.train)} training rows"]
    if group.noise:
        lines.append(f"estimated {measure.noise} {measure.with_span(group.noise)}")
    if group.strength is not None:
        lines.append(f"strength {strength(group.strength)}")
    return "<br>".join(lines)
