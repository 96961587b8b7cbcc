"""The styles of the report's series: colours, symbols, dashes.

The colours are those of Okabe and Ito with a contrast of 3 on white and on black, for light and dark pages. Series
differ in their symbol or dash too, so that nobody needs colour to tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

COLOURS = ("#0072b2", "#cc79a7", "#d55e00", "#009e73", "#7f7f7f")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down")
GLYPHS = "●■◆▲▼"  # the symbols, in text
DASHES = ("none", "9 9", "3 3", "9 3 3 3", "15 15")  # strokes and gaps in pixels
NOISE, KNOWN, FOCUS = "#009e73", "#7f7f7f", "#d55e00"


class SeriesStyle(NamedTuple):
    """The style of a method in charts and tables."""

    colour: str
    symbol: str
    glyph: str
    dash: str


def series_styles(names: Iterable[str]) -> dict[str, SeriesStyle]:
    """Return a style for each name; the first 25 are distinct."""
    n = len(COLOURS)
    styles = {}
    for i, name in enumerate(dict.fromkeys(names)):
        shape = (i + i // n) % n
        styles[name] = SeriesStyle(COLOURS[i % n], SYMBOLS[shape], GLYPHS[shape], DASHES[shape])
    return styles
