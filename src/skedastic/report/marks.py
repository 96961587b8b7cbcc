"""The parts of charts: marks with intervals, curves, and the plot that holds them.

Places are in percent of the plot from its top left corner, so that a chart takes the width of the page. Sizes of
symbols and heights are in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skedastic.report.scales import Tick

TICK = "tick"  # the symbol of a value that has no interval: a line across the row
CORNERS = {  # of symbols, in half their size
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "triangle-up": ((0, -1), (1.15, 0.5), (-1.15, 0.5)),
    "triangle-down": ((0, 1), (1.15, -0.5), (-1.15, -0.5)),
    TICK: ((-0.17, -1.4), (0.17, -1.4), (0.17, 1.4), (-0.17, 1.4)),
}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A symbol at a place.

    Parameters
    ----------
    x, y : float
        The place, in percent.
    size : float
        Width in pixels.
    hover : str
        Lines that describe the mark.
    bar : tuple of float or None
        Both ends of its interval, (x, y, x, y) in percent; None where it is unknown.
    """

    x: float
    y: float
    size: float
    hover: str
    bar: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Points:
    """Marks of one style.

    Parameters
    ----------
    name, colour, symbol : str
        Name in the legend, colour and symbol.
    size : float
        Width of the symbol in the legend, in pixels.
    marks : sequence of Mark
        The marks.
    thickness : float, optional
        Thickness of their bars, in pixels.
    opacity : float, optional
        In [0, 1].
    """

    name: str
    colour: str
    symbol: str
    size: float
    marks: Sequence[Mark]
    thickness: float = 1.5
    opacity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line over epochs.

    Parameters
    ----------
    name, colour : str
        Name in the legend, and colour.
    dash : str
        Lengths of strokes and gaps, in pixels.
    places : sequence of (x, y) or None
        The place of each epoch, in percent; None where it has no value.
    values : sequence of str
        The value of each epoch as text; "" where it has none.
    """

    name: str
    colour: str
    dash: str
    places: Sequence[tuple[float, float] | None]
    values: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class RowName:
    """The name of a row of a chart, and the size of its group as text, which may be empty."""

    name: str
    size: str
    focus: bool


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A plot with its series, its axes and its rows.

    Parameters
    ----------
    height : int
        Height of the plot, in pixels.
    series : sequence of Points or Curve
        The series, in the order of the legend.
    x_ticks : sequence of Tick
        Ticks from the left.
    x_title : str, optional
        Title of the x axis.
    y_ticks : sequence of Tick, optional
        Ticks from the bottom, of a chart without rows.
    rows : sequence of RowName, optional
        Names from the top, of rows of equal height.
    names_above : bool, optional
        Whether a name stands in its row, above the marks, and not beside it.
    first_on_top : bool, optional
        Whether the series are drawn from the last to the first.
    """

    height: int
    series: Sequence[Points | Curve]
    x_ticks: Sequence[Tick]
    x_title: str = ""
    y_ticks: Sequence[Tick] = ()
    rows: Sequence[RowName] = ()
    names_above: bool = False
    first_on_top: bool = False

    @property
    def layers(self) -> list[tuple[int, Points | Curve]]:
        """The series with their places in the legend, in the order of drawing."""
        layers = list(enumerate(self.series))
        return layers[::-1] if self.first_on_top else layers


def outline(symbol: str, size: float) -> str:
    """Return the SVG path of a symbol around the origin, `size` pixels wide."""
    half = size / 2
    if symbol == "circle":
        arc = f"a{half:.3g} {half:.3g} 0 1 0"
        return f"M{-half:.3g} 0{arc} {size:.3g} 0{arc} {-size:.3g} 0z"
    return "M" + "L".join(f"{half * x:.3g} {half * y:.3g}" for x, y in CORNERS[symbol]) + "z"


def path(places: Iterable[tuple[float, float] | None]) -> str:
    """Return the SVG path through places, which is interrupted where a place is None."""
    steps, pen = [], "M"
    for place in places:
        if place is not None:
            steps.append(f"{pen}{place[0]:g} {place[1]:g}")
        pen = "M" if place is None else "L"
    return "".join(steps)
