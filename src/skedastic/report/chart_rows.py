"""Charts with a row for each group: where the rows stand and how they are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skedastic.report.marks import RowName
from skedastic.report.words import shortened, thousands

if TYPE_CHECKING:
    from skedastic.report.content import GroupRow

SHORT, LONGEST = 12, 32  # characters of a name beside its row, and above it: a phone is 360 pixels wide
HEAD = 20  # pixels above a row that a name takes


@dataclass(frozen=True)
class ChartRows:
    """Groups in rows from the top, equally high in the charts that stand side by side.

    Short names stand left of the axis. Long names stand above their row, where they leave it its width.

    Parameters
    ----------
    groups : sequence of GroupRow
        The groups, in the order of the rows.
    methods : int
        Methods whose marks a row holds.
    """

    groups: Sequence[GroupRow]
    methods: int

    @property
    def named_above(self) -> bool:
        """Whether names stand above their rows."""
        return any(len(g.name) > SHORT for g in self.groups)

    @property
    def head(self) -> int:
        """Pixels above a row that its name takes."""
        return HEAD if self.named_above else 0

    @property
    def height(self) -> int:
        """Pixels of a row."""
        return self.head + 16 + 8 * max(2, self.methods)

    @property
    def total(self) -> int:
        """Pixels of all rows."""
        return len(self.groups) * self.height

    def y(self, row: int, shift: float = 0.0) -> float:
        """Return the height of a mark of a row, in percent of all rows.

        Parameters
        ----------
        row : int
            The row, from 0 at the top.
        shift : float, optional
            Distance from the middle of the part below the row's name, as a share of that part, in [-0.5, 0.5].
        """
        below = self.height - self.head
        return round(100 * (row * self.height + self.head + below * (0.5 + shift)) / self.total, 2)

    def names(self, sizes: bool = False) -> list[RowName]:
        """Return the names of the rows, with the sizes of the groups where asked for."""
        return [
            RowName(
                name=shortened(group.name, LONGEST),
                size=f"n {thousands(group.train)}" if sizes else "",
                focus=group.focus,
            )
            for group in self.groups
        ]
