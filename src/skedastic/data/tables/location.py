"""Where a cell is, in the user's words."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from skedastic.errors import UserError

Lines = Callable[[str, int, int], int]  # of a column, a file (0, 1, …) and a row of it: the line where the cell begins


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
        The row of the source that is the first here.
    files : tuple of (str, int)
        The name and the number of rows of each file, where there are several.
    lines : callable or None
        Takes a file (0, 1, …) and a row of it, and returns the line that the cell is in; it may read the file again.
        None where cells are named by row.
    """

    column: str
    cell: str
    file: str = ""
    first: int = 0
    files: tuple[tuple[str, int], ...] = ()
    lines: Callable[[int, int], int] | None = None

    def at(self, row: int) -> str:
        """Name the cell of row `row`, counted from 0."""
        file, part, row = self.file, 0, row + self.first
        if self.files:
            starts = np.cumsum([0, *(rows for _, rows in self.files)]).tolist()
            part = min(bisect_right(starts, row) - 1, len(self.files) - 1)
            file, row = self.files[part][0], row - starts[part]
        return self.cell.format(file=file, row=row if self.lines is None else self.lines(part, row))

    def error(self, row: int, rule: str, value: object = None) -> UserError:
        """Return the error about the cell of row `row`, counted from 0; the rule quotes its value."""
        place = self.at(row)
        return UserError(rule, setting=place, value=value, given=place)


def column_place(
    file: str, column: str, lines: Lines | None = None, files: tuple[tuple[str, int], ...] = (), first: int = 0
) -> CellLocation:
    """Name a column of a file; with `lines` its cells are named by the line of the file, else by row."""
    cell = f"{{file}}, {'row' if lines is None else 'line'} {{row}}, {literal(f'column {column!r}')}"
    line_of = None if lines is None else partial(lines, column)
    return CellLocation(f"{file}, column {column!r}", cell, file, first, files, line_of)


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
