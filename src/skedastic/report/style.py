"""How the report's charts look: colours, symbols, axes.

Backgrounds are transparent and the series' colours (Okabe and Ito's, those with a contrast of 3 on white and on
black) suit light and dark alike; the page's script paints text and grid in the colours of the page. Series
differ in their symbol or dash too, so that colour is never all that tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import plotly.graph_objects as go

if TYPE_CHECKING:
    from skedastic.evaluation.intervals import Interval

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
    glyph: str
    dash: str


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each name; the first 25 are distinct."""
    n = len(COLOURS)
    found = {}
    for i, name in enumerate(dict.fromkeys(names)):
        shape = (i + i // n) % n
        found[name] = Look(COLOURS[i % n], SYMBOLS[shape], GLYPHS[shape], DASHES[shape])
    return found


def text(name: str) -> str:
    """Return a name that plotly, which reads some tags and entities in texts, shows as it is."""
    return escape(name)


def bars(intervals: Sequence[Interval], colour: str, factor: float = 100.0) -> dict[str, Any]:
    """Return error bars of values that are shown times `factor`; no bar where the ends are unknown."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [factor * (i.high - i.mean) if i.known else 0 for i in intervals],
        "arrayminus": [factor * (i.mean - i.low) if i.known else 0 for i in intervals],
        "color": colour,
        "thickness": 1.5,
        "width": 0,
    }


def plain(figure: go.Figure, height: int) -> go.Figure:
    """Give a figure its height in pixels, quiet axes, and a legend on top."""
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
        legend={"orientation": "h", "xref": "container", "yref": "container", "x": 0, "y": 1},
        legend_yanchor="top",
        hoverlabel={"align": "left"},
        dragmode=False,
    )
