"""Where a cell is, in the user's words."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import pandas as pd

from skedastic.errors import UserError


@dataclass(frozen=True)
class CellLocation:
    """The place of a column and of its cells, in the user's words.

    Parameters
    ----------
    column : str
        The column, such as "good.csv, column 'price'".
    cell : str
        A cell, with slots {file} and {row}, such as "{file}, line {row}, column 'price'".
    file : str
        The file that the cells are in.
    first : int
        The number of the first row.
    files : tuple of (str, int)
        The name and the number of rows of each file, where there are several.
    """

    column: str
    cell: str
    file: str = ""
    first: int = 0
    files: tuple[tuple[str, int], ...] = ()

    def at(self, row: int) -> str:
        """Name the cell of row `row`, counted from 0."""
        if not self.files:
            return self.cell.format(file=self.file, row=row + self.first)
        starts = np.cumsum([0, *(rows for _, rows in self.files)]).tolist()
        part = min(bisect_right(starts, row) - 1, len(self.files) - 1)
        return self.cell.format(file=self.files[part][0], row=row - starts[part] + self.first)

    def error(self, row: int, rule: str, value: object = None) -> UserError:
        """Return the error about the cell of row `row`, counted from 0; the rule quotes its value."""
        return UserError(rule, setting=self.at(row), value=value, given=self.at(row))


def column_place(file: str, column: str, lines: bool, files: tuple[tuple[str, int], ...] = ()) -> CellLocation:
    """Name a column of a file; with `lines` its cells are named by line, the header being line 1, else by row."""
    name = literal(f"column {column!r}")
    cell = f"{{file}}, {'line' if lines else 'row'} {{row}}, {name}"
    return CellLocation(f"{file}, column {column!r}", cell, file, 2 if lines else 0, files)


def literal(text: str) -> str:
    """Return a template that formats to `text`, braces and all."""
    return text.replace("{", "{{").replace("}", "}}")


def quoted(cell: object) -> str:
    """Return a cell as errors quote it."""
    return repr(str(cell)[:40])


def wrong_cell(column: pd.Series, row: int, place: CellLocation, rule: str) -> UserError:
    """Return the error about a cell that a column can't hold."""
    cell = str(column.iloc[row])
    return place.error(row, f"{quoted(cell)} {rule}", cell)
