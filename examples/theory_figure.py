"""The figure of `theory.py`, and the results that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

Floats = NDArray[np.float64]
BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f"
RATE_RANGE = (0.5, 1.6)  # of panel 1, decimal logarithms


class Curve(NamedTuple):
    """Simulated errors and what is predicted for them, over n or over ρ."""

    name: str
    x: Floats
    simulated: Floats
    spread: Floats
    theorem: Floats
    layers: Floats
    same_n: Floats


class Optimum(NamedTuple):
    """The best ρ of a setting, each group's relative to the first group's, [k]."""

    name: str
    logistic: bool
    simulated: Floats
    spread: Floats  # of log ρ
    same_n: Floats
    large_n: Floats
    theory: Floats
    paper: Floats


class Cost(NamedTuple):
    """A choice of ρ and the ratio of its error to the best one's."""

    setting: str
    choice: str
    ratio: float
    spread: float
    same_n: float | None


class Network(NamedTuple):
    """Figure 3's example at one seed: what R is of, the data, and what was fitted."""

    symbol: str
    x: Floats
    y: Floats
    grid: Floats
    truth: Floats
    fitted: dict[str, Floats]


def points(name: str, x: Floats, y: Floats, spread: Floats, colour: str, symbol: str = "circle") -> go.Scatter:
    """Return points with bars of two standard errors."""
    bars = {"array": 2 * spread, "color": colour, "thickness": 1.5, "width": 0}
    marker = {"color": colour, "size": 8, "symbol": symbol}
    return go.Scatter(x=x, y=y, error_y=bars, mode="markers", name=name, marker=marker)


def line(name: str, x: Floats, y: Floats, colour: str, dash: str = "solid", width: float = 2) -> go.Scatter:
    """Return a line."""
    return go.Scatter(x=x, y=y, mode="lines", name=name, line={"color": colour, "dash": dash, "width": width})


def draw(
    curves: Sequence[Curve],
    rho_curve: Curve,
    optimum: Sequence[Optimum],
    cost: Sequence[Cost],
    networks: Sequence[Network],
) -> go.Figure:
    """Return the figure: error over n and over ρ, best ρ, cost of other ρ, and the network."""
    titles = [
        "<b>1</b>  n<sup>4/5</sup> × error over n, λ ∝ n<sup>−2/5</sup>",
        f"<b>2</b>  Error over ρ, {rho_curve.name}",
        "<b>3</b>  Best ρ of a group over the first group's",
        "<b>4</b>  Error over that at the best ρ, each choice at its best λ",
        *[f"<b>5</b>  R of {net.symbol}: {name}" for net in networks for name in net.fitted],
    ]
    figure = make_subplots(
        rows=4,
        cols=6,
        specs=[
            [{"colspan": 3}, None, None] * 2,
            [{"colspan": 3}, None, None] * 2,
            [{"colspan": 2}, None] * 3,
            [{"colspan": 2}, None] * 3,
        ],
        subplot_titles=titles,
        vertical_spacing=0.07,
        row_heights=[0.3, 0.34, 0.18, 0.18],
        horizontal_spacing=0.09,
    )

    def add(row: int, col: int, *traces: go.Scatter | go.Bar) -> None:
        legend = {(1, 1): "legend", (1, 4): "legend2", (2, 1): "legend3", (2, 4): "legend4"}.get((row, col), "legend5")
        for trace in traces:
            trace.update(legend=legend)
            figure.add_trace(trace, row, col)

    looks = ((BLUE, "circle"), (ORANGE, "square"), (PINK, "diamond"), (GREEN, "triangle-up"))
    for curve, (colour, symbol) in zip(curves, looks, strict=True):
        scale = curve.x**0.8
        add(1, 1, points(curve.name, curve.x, scale * curve.simulated, scale * curve.spread, colour, symbol))
        theorem = line("", curve.x, scale * curve.theorem, colour, width=1.5)
        layered = line("", curve.x, scale * curve.layers, colour, "dot", 1.5)
        add(1, 1, theorem.update(showlegend=False), layered.update(showlegend=False))
    nothing = np.array([np.nan])
    add(1, 1, line("Theorem 1", nothing, nothing, GREY), line("with layers", nothing, nothing, GREY, "dot"))
    c = rho_curve
    add(1, 4, points("simulated", c.x, c.simulated, c.spread, BLUE), line("Theorem 1", c.x, c.theorem, GREY))
    add(1, 4, line("same n, linearized", c.x, c.same_n, ORANGE, "dash"))
    every = np.concatenate([np.append(f.paper[1:], f.simulated[1:]) for f in optimum])
    ends = np.array([every.min() / 1.3, every.max() * 1.3])
    add(2, 1, line("equal", ends, ends, GREY, width=1))
    for logistic, name, colour, symbol in (
        (True, "logistic: q<sup>3/5</sup> I<sup>3/5</sup>", BLUE, "circle"),
        (False, "regression: (σ²)<sup>2/5</sup> q<sup>3/5</sup>", ORANGE, "square"),
    ):
        some = [f for f in optimum if f.logistic == logistic]
        paper, sim, spread, same = (
            np.concatenate([getattr(f, kind)[1:] for f in some]) for kind in ("paper", "simulated", "spread", "same_n")
        )
        what = [f"{f.name}, group {g + 2}" for f in some for g in range(len(f.paper) - 1)]
        hover = "%{text}<br>predicted %{x:.3f}<br>found %{y:.3f}<extra></extra>"
        add(2, 1, points(name, paper, sim, sim * spread, colour, symbol).update(text=what, hovertemplate=hover))
        cross = {"symbol": "cross-thin", "size": 9, "line": {"width": 1.5, "color": colour}}
        add(2, 1, go.Scatter(x=paper, y=same, mode="markers", marker=cross, showlegend=False, hoverinfo="skip"))
    for f in optimum:
        if "f*''" in f.name:  # the one that the weights know nothing of
            at = {"x": np.log10(f.paper[1]), "y": np.log10(f.simulated[1])}
            figure.add_annotation(
                at, text=f.name.split(", ")[1], showarrow=False, xanchor="left", xshift=8, row=2, col=1
            )
    cross = {"symbol": "cross-thin", "size": 9, "line": {"width": 1.5, "color": GREY}}
    add(2, 1, go.Scatter(x=nothing, y=nothing, mode="markers", marker=cross, name="same n, linearized"))
    for choice, colour in (("paper's weights", BLUE), ("uniform ρ", PINK), ("uniform per example", GREEN)):
        some_costs = [x for x in cost if x.choice == choice][::-1]
        bar = go.Bar(
            y=[wrap(x.setting) for x in some_costs],
            x=[x.ratio for x in some_costs],
            error_x={"array": [2 * x.spread for x in some_costs], "thickness": 1.5, "width": 0, "color": "#333"},
            orientation="h",
            name=choice,
            marker_color=colour,
            text=[f"{x.ratio:.2f}" for x in some_costs],
            textposition="inside",
            insidetextanchor="start",
        )
        add(2, 4, bar)
    for row, net in enumerate(networks, start=3):
        for k, fitted in enumerate(net.fitted.values()):
            data = go.Scatter(x=net.x, y=net.y, mode="markers", name="data")
            data.update(marker={"color": "#333", "size": 4, "opacity": 0.6})
            traces = (data, line("truth", net.grid, net.truth, BLUE), line("network", net.grid, fitted, ORANGE))
            add(row, 2 * k + 1, *(trace.update(showlegend=row == 3 and k == 0) for trace in traces))
    return finish(figure)


def wrap(name: str) -> str:
    """Return a name in lines of at most some 18 characters."""
    return name.replace(", ", ",<br>").replace(" (", "<br>(").replace(" where", "<br>where")


def finish(figure: go.Figure) -> go.Figure:
    """Label the axes and place the legends."""
    figure.update_xaxes(type="log", title="n", row=1, col=1, dtick=1, exponentformat="power")
    figure.update_yaxes(
        type="log",
        title="n<sup>4/5</sup> × mean squared error",
        row=1,
        col=1,
        range=RATE_RANGE,
        tickvals=[4, 6, 8, 10, 15, 20, 30],
    )
    figure.update_xaxes(type="log", title="ρ over the formula's best", row=1, col=4, tickvals=2.0 ** np.arange(-4, 5))
    figure.update_xaxes(ticktext=["1/16", "1/8", "1/4", "1/2", "1", "2", "4", "8", "16"], row=1, col=4)
    figure.update_yaxes(type="log", title="mean squared error", row=1, col=4, dtick="D2")
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(type="log", tickvals=[0.1, 0.2, 0.5, 1, 2, 5], row=2, col=1)
    figure.update_xaxes(title="predicted by the paper's weights", row=2, col=1)
    figure.update_yaxes(title="found by search", row=2, col=1)
    figure.update_xaxes(title="mean squared error / optimal; the dashed line is the best possible, 1", row=2, col=4)
    figure.add_vline(1, line={"color": "#333", "dash": "dash", "width": 1}, row=2, col=4)
    for row in (3, 4):
        figure.update_yaxes(range=[-2.2, 2.2], row=row)
    figure.update_xaxes(title="x", row=4)
    axis = {"showline": True, "linecolor": "#999", "gridcolor": "#eee", "zeroline": False, "ticks": "outside"}
    figure.update_xaxes(axis | {"automargin": True})
    figure.update_yaxes(axis | {"automargin": True})
    where = ((1, 1), (1, 4), (2, 1), (2, 4), (3, 1), (3, 3), (3, 5), (4, 1), (4, 3), (4, 5))
    for annotation, (row, col) in zip(figure.layout.annotations[:10], where, strict=True):
        annotation.update(xanchor="left", font_size=15)
        annotation.x = figure.get_subplot(row, col).xaxis.domain[0]
        annotation.yshift = 4 if row > 2 else 8
    box = {"bgcolor": "rgba(255,255,255,0.8)", "font_size": 12}
    first, second, third = (figure.get_subplot(row, 1).yaxis.domain for row in (1, 2, 4))
    right = figure.get_subplot(1, 4).xaxis.domain
    left = figure.get_subplot(1, 1).xaxis.domain
    return figure.update_layout(
        template="plotly_white",
        title={
            "text": "HAR's theory against simulation",
            "subtitle": {
                "text": "Bars are two standard errors. Panels 1 and 2 are of the logistic loss, with one ρ but where "
                "it is said to jump."
            },
            "font_size": 22,
            "x": 0.02,
            "y": 0.98,
            "yanchor": "top",
        },
        width=1180,
        height=1750,
        margin={"t": 150, "l": 70, "r": 30, "b": 60},
        barmode="group",
        bargap=0.25,
        legend=box | {"x": left[0] + 0.01, "y": first[0] + 0.005, "xanchor": "left", "yanchor": "bottom"},
        legend2=box | {"x": sum(right) / 2, "y": first[1], "xanchor": "center", "yanchor": "top"},
        legend3=box | {"x": left[0] + 0.01, "y": second[1], "xanchor": "left", "yanchor": "top"},
        legend4=box | {"x": right[1], "y": second[1], "xanchor": "right", "yanchor": "top"},
        legend5=box | {"x": 0, "y": third[0] - 0.045, "xanchor": "left", "yanchor": "top", "orientation": "h"},
    )
