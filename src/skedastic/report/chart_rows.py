"""Charts with a row for each group: where the rows stand and how they are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from skedastic.report.style import FOCUS, plain, text
from skedastic.report.words import thousands

if TYPE_CHECKING:
    from skedastic.report.content import GroupRow

SHORT, LONGEST = 12, 32  # characters of a name beside its row, and above it: a phone is 360 pixels wide
HEAD = 20  # pixels above a row that a name takes


@dataclass(frozen=True)
class Rows:
    """Groups in rows from the top, equally high in the charts that stand side by side.

    Short names stand left of the axis; long ones above their row, where they do not take its width.
    """

    groups: Sequence[GroupRow]
    methods: int
    unit: str = " %"

    @property
    def head(self) -> int:
        """Pixels above a row that its name takes."""
        return HEAD if any(len(g.name) > SHORT for g in self.groups) else 0

    @property
    def height(self) -> int:
        """Pixels of a row."""
        return self.head + 16 + 8 * max(2, self.methods)

    def y(self, row: int, shift: float = 0.0) -> float:
        """Return where a mark of a row stands, shifted by a part, in [-0.5, 0.5], of the row below its name."""
        return row + (self.head / 2 + shift * (self.height - self.head)) / self.height

    def lay_out(self, figure: go.Figure, sizes: bool = False) -> go.Figure:
        """Name the rows and shade the focus groups'."""
        for row, group in enumerate(self.groups):
            if group.focus:
                figure.add_hrect(row - 0.5, row + 0.5, fillcolor=FOCUS, opacity=0.07, line_width=0, layer="below")
        figure.update_xaxes(ticksuffix=self.unit, nticks=5, tickangle=0)
        labels = [self._label(group, sizes) for group in self.groups]
        if self.head:
            place = {"xref": "paper", "x": 0, "xanchor": "left", "yanchor": "top", "showarrow": False}
            figure.update_layout(annotations=[{"text": t, "y": i - 0.5, **place} for i, t in enumerate(labels)])
        figure.update_yaxes(
            tickvals=list(range(len(labels))),
            ticktext=labels,
            showticklabels=not self.head,
            range=[len(labels) - 0.5, -0.5],
            showgrid=False,
        )
        return plain(figure, 96 + len(self.groups) * self.height)

    def _label(self, group: GroupRow, size: bool) -> str:
        name = group.name
        if len(name) > LONGEST:
            # Long names often differ at their end alone.
            name = f"{name[: LONGEST - 12]}…{name[-11:]}"
        label = f"<b>{text(name)}</b>" if group.focus else text(name)
        return f"{label} <span style='font-size:11px'>n {thousands(group.train)}</span>" if size else label
