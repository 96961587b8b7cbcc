"""The report's charts, by plotly: noise and accuracy in rows of groups, noise against size, training curves.

Backgrounds are transparent and the series' colours (Okabe and Ito's, those with a contrast of 3 on white and on
black) suit light and dark alike; the page's script paints text and grid in the colours of the page. Series
differ in their symbol or dash too, so that colour is never all that tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import plotly.graph_objects as go
from plotly.io import to_json as figure_to_json

if TYPE_CHECKING:
    from skedastic.report.html import GroupRow, Interval, Report

MOST_ROWS = 30  # groups that a chart of rows can hold; more become a cloud of points
LABEL = 20  # characters of a group's name on an axis: a phone is 360 pixels wide

COLOURS = ("#0072b2", "#cc79a7", "#d55e00", "#009e73", "#7f7f7f")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down")
GLYPHS = "●■◆▲▼"  # the symbols, in text
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
NOISE, KNOWN, FOCUS = "#009e73", "#7f7f7f", "#d55e00"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


class Look(NamedTuple):
    """How a method looks in charts and tables."""

    colour: str
    symbol: str
    glyph: str  # the symbol, in text
    dash: str


def looks(report: Report) -> dict[str, Look]:
    """Return a look for each method; the first 25 are distinct."""
    n = len(COLOURS)
    names = dict.fromkeys([*(m.name for m in report.methods), *report.history])
    shapes = [(i + i // n) % n for i in range(len(names))]
    return {
        name: Look(COLOURS[i % n], SYMBOLS[k], GLYPHS[k], DASHES[k])
        for i, (name, k) in enumerate(zip(names, shapes, strict=True))
    }


def order(groups: Sequence[GroupRow]) -> list[GroupRow]:
    """Return the groups, the most regularized first; without strengths, the noisiest first."""
    return sorted(groups, key=lambda g: (-(g.strength or 0), -(g.noise.mean if g.noise else 0)))


def figures(report: Report) -> dict[str, go.Figure]:
    """Return the figures that the report has something for: "noise", "accuracy", "loss", "fit"."""
    rows = _most_telling(report.groups)
    seen = looks(report)
    measured = {name: look for name, look in seen.items() if any(name in g.accuracy for g in rows)}
    row = 16 + 8 * max(2, len(measured))  # pixels; the same in both charts, which stand side by side
    found = {}
    if any(g.noise for g in report.groups):
        few = len(report.groups) <= MOST_ROWS
        found["noise"] = noise_by_group(rows, row) if few else noise_by_size(report.groups)
    if measured:
        found["accuracy"] = accuracy_by_group(rows, measured, row)
    for name, key, scale, suffix in (("loss", "loss", 1, ""), ("fit", "accuracy", 100, " %")):
        curves = {m: [scale * v for v in c.get(key, ())] for m, c in report.history.items()}
        curves = {m: values for m, values in curves.items() if len(values) > 1}
        if curves:
            found[name] = training_curves(curves, seen, suffix)
    return found


def strength(value: float) -> str:
    """Return a strength to three digits."""
    return f"{value:#.3g}".rstrip(".")


def to_json(found: Mapping[str, go.Figure]) -> str:
    """Return the figures as one JSON object by name; NaN becomes null."""
    return "{" + ",".join(f"{json.dumps(name)}:{figure_to_json(f)}" for name, f in found.items()) + "}"


def noise_by_group(rows: Sequence[GroupRow], height: int) -> go.Figure:
    """Return the estimated noise of each group with its interval, and the known noise as a tick."""
    estimated = [(y, g) for y, g in enumerate(rows) if g.noise]
    known = [(y, g) for y, g in enumerate(rows) if g.true_noise is not None]
    figure = go.Figure()
    if known:
        figure.add_scatter(
            name="known",
            mode="markers",
            x=[100 * g.true_noise for _, g in known if g.true_noise is not None],
            y=[y for y, _ in known],
            marker={"symbol": "line-ns-open", "size": 18, "color": KNOWN, "line": {"width": 3}},
            hovertemplate="%{customdata}<br>known noise %{x:.1f} %<extra></extra>",
            customdata=[_text(g.name) for _, g in known],
        )
    intervals = [g.noise for _, g in estimated if g.noise]
    figure.add_scatter(
        name="estimated",
        mode="markers",
        x=[100 * i.mean for i in intervals],
        y=[y for y, _ in estimated],
        error_x=_bars(intervals, NOISE),
        marker={"symbol": "circle", "size": 9, "color": NOISE},
        hovertemplate="%{customdata}<extra></extra>",
        customdata=[_describe(g) for _, g in estimated],
    )
    figure.update_traces(cliponaxis=False)
    figure.update_xaxes(rangemode="tozero")
    figure.update_layout(legend_traceorder="reversed")
    return _in_rows(figure, rows, height, sizes=True)


def noise_by_size(groups: Sequence[GroupRow]) -> go.Figure:
    """Return noise against size, a point for each group, larger where the strength is."""
    strongest = max((g.strength or 0 for g in groups), default=0) or 1
    figure = go.Figure()
    for name, focus, colour in (("other groups", False, NOISE), ("focus groups", True, FOCUS)):
        some = [g for g in groups if g.noise and g.focus == focus and g.train > 0]
        if not some:
            continue
        intervals = [g.noise for g in some if g.noise]
        figure.add_scatter(
            name=name,
            mode="markers",
            x=[g.train for g in some],
            y=[100 * i.mean for i in intervals],
            error_y=_bars(intervals, colour) | {"thickness": 0.6},
            marker={
                "symbol": "diamond" if focus else "circle",
                "size": [6 + 10 * ((g.strength or 0) / strongest) ** 0.5 for g in some],
                "color": colour,
                "opacity": 0.75,
                "line": {"width": 0},
            },
            hovertemplate="%{customdata}<extra></extra>",
            customdata=[_describe(g) for g in some],
        )
    figure.update_xaxes(title="training rows (logarithmic)", type="log", dtick=1)
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero")
    return _plain(figure, 420)


def accuracy_by_group(rows: Sequence[GroupRow], methods: Mapping[str, Look], height: int) -> go.Figure:
    """Return the accuracy of each method in each group, with intervals."""
    step = 0.7 / max(len(methods), 2)
    figure = go.Figure()
    for i, (method, look) in enumerate(methods.items()):
        found = [(y, g, g.accuracy[method]) for y, g in enumerate(rows) if method in g.accuracy]
        intervals = [interval for _, _, interval in found]
        figure.add_scatter(
            name=_text(method),
            mode="markers",
            x=[100 * interval.mean for interval in intervals],
            y=[y + step * (i - (len(methods) - 1) / 2) for y, _, _ in found],
            error_x=_bars(intervals, look.colour),
            marker={"symbol": look.symbol, "size": 8, "color": look.colour},
            hovertemplate="%{customdata}<extra></extra>",
            customdata=[f"{_text(g.name)}<br>{_text(method)} {_range(v)}" for _, g, v in found],
        )
    return _in_rows(figure, rows, height)


def training_curves(
    curves: Mapping[str, Sequence[float]], methods: Mapping[str, Look], suffix: str
) -> go.Figure:
    """Return one line for each method, over epochs from 1."""
    figure = go.Figure()
    for method, values in curves.items():
        look = methods[method]
        figure.add_scatter(
            name=_text(method),
            mode="lines",
            x=list(range(1, len(values) + 1)),
            y=list(values),
            line={"color": look.colour, "dash": look.dash, "width": 2},
            hovertemplate=f"%{{fullData.name}}, epoch %{{x}}: %{{y:.3~g}}{suffix}<extra></extra>",
        )
    longest = max(map(len, curves.values()))
    figure.update_xaxes(title="epoch", nticks=8, dtick=1 if longest <= 8 else None)
    figure.update_yaxes(ticksuffix=suffix, rangemode="normal" if suffix else "tozero")
    return _plain(figure, 300)


def _most_telling(groups: Sequence[GroupRow]) -> list[GroupRow]:
    """Return at most `MOST_ROWS` groups in order: the focus groups, then the most regularized."""
    chosen = sorted(order(groups), key=lambda g: not g.focus)[:MOST_ROWS]
    return order(chosen)


def _in_rows(figure: go.Figure, rows: Sequence[GroupRow], height: int, sizes: bool = False) -> go.Figure:
    """Give each group a row of `height` pixels, from the top, named on the left, shaded where it is a focus group."""
    for y, group in enumerate(rows):
        if group.focus:
            figure.add_hrect(y - 0.5, y + 0.5, fillcolor=FOCUS, opacity=0.07, line_width=0, layer="below")
    figure.update_xaxes(ticksuffix=" %", nticks=5, tickangle=0)
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[_label(g, sizes) for g in rows],
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
    )
    return _plain(figure, 96 + len(rows) * height)


def _plain(figure: go.Figure, height: int) -> go.Figure:
    axis = {"zeroline": False, "automargin": True, "fixedrange": True, "ticks": ""}
    figure.update_xaxes(axis, title_font_size=13)
    figure.update_yaxes(axis)
    return figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 12, "t": 44, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13},
        showlegend=True,
        legend={"orientation": "h", "xref": "container", "yref": "container", "x": 0, "y": 1, "yanchor": "top"},
        hoverlabel={"align": "left"},
        dragmode=False,
    )


def _bars(intervals: Sequence[Interval], colour: str) -> dict[str, Any]:
    """Return error bars in percent; no bar where the ends are unknown."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (i.high - i.mean) if i.known else 0 for i in intervals],
        "arrayminus": [100 * (i.mean - i.low) if i.known else 0 for i in intervals],
        "color": colour,
        "thickness": 1.5,
        "width": 0,
    }


def _describe(group: GroupRow) -> str:
    lines = [_text(group.name), f"{group.train:,} training rows"]
    if group.noise:
        lines.append(f"estimated noise {_range(group.noise)}")
    if group.strength is not None:
        lines.append(f"strength {strength(group.strength)}")
    return "<br>".join(lines)


def _range(interval: Interval) -> str:
    ends = f" ({100 * interval.low:.1f}–{100 * interval.high:.1f})" if interval.known else ""
    return f"{100 * interval.mean:.1f} %{ends}"


def _label(group: GroupRow, size: bool) -> str:
    name = group.name
    if len(name) > LABEL:
        # Long names often differ at their end alone.
        name = f"{name[: LABEL - 8]}…{name[-7:]}"
    label = f"<b>{_text(name)}</b>" if group.focus else _text(name)
    return f"{label} <span style='font-size:11px'>n {group.train:,}</span>" if size else label


def _text(name: str) -> str:
    """Return a name that plotly, which reads some tags and entities in texts, shows as it is."""
    return escape(name)
