"""The rows of a CSV file as Python's csv reads them, with their lines, and the faults that a file can have.

Slow and literal: for errors, and for what pyarrow does not read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

from skedastic.data.sources.csv_dialect import Dialect, cells_of_any_length
from skedastic.data.sources.names import readable
from skedastic.data.sources.text_encoding import NOT_TEXT
from skedastic.errors import UserError
from skedastic.runtime.limits import limits, too_much

LINE_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Row:
    """A row: the line that it begins in, its cells, its lines as they are written, and whether a quote is left open."""

    line: int
    cells: list[str]
    written: list[str]
    is_open: bool

    def line_of(self, cell: int) -> int:
        """Return the line that a cell begins in."""
        return self.line + sum(len(LINE_BREAK.findall(before)) for before in self.cells[:cell])


class _TooLongError(Exception):
    """A row has more characters than a limit."""


@dataclass
class _Lines:
    """The lines of a file; `taken` are those of the row that is being read, of `length` characters together.

    Raises `_TooLongError` for a row of more than `longest` characters, before all of it is read.
    """

    file: TextIO
    longest: int
    taken: list[str] = field(default_factory=list)
    ended: bool = False
    length: int = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.file.readline(self.longest + 1)
        self.length += len(line)
        if self.length > self.longest:
            raise _TooLongError
        if not line:
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        return line


def rows(path: Path, dialect: Dialect) -> Iterator[Row]:
    """Yield the rows of a file, of any lengths, without blank lines."""
    with readable(path), cells_of_any_length(), path.open(encoding=dialect.encoding, newline="") as file:
        try:
            for _ in range(dialect.skipped):
                file.readline()
            lines, line = _Lines(file, longest_row()), dialect.skipped + 1
            for cells in dialect.records(lines):
                if not dialect.is_blank("".join(lines.taken), len(cells)):
                    yield Row(line, cells, lines.taken, lines.ended)
                line += len(lines.taken)
                lines.taken, lines.length = [], 0
        except UnicodeDecodeError:
            raise UserError(NOT_TEXT, setting=str(path)) from None
        except _TooLongError:
            raise too_long(f"{path}, line {line}") from None


def whole_rows(path: Path, dialect: Dialect) -> Iterator[Row]:
    """Yield the rows of a file.

    Raises
    ------
    UserError
        A row has more or fewer cells than the header has names, or a quote is not closed where it should be.
    """
    for row in rows(path, dialect):
        place = f"{path}, line {row.line}"
        if row.is_open or (len(row.written) > 1 and not _is_strict(row, dialect)):
            cell = len(row.cells) - 1 if row.is_open else next(i for i, c in enumerate(row.cells) if _breaks(c))
            rule = (
                "a quote opens here that is not closed before the end of the file"
                if row.is_open
                else "a quote opens here and closes in a later line, before other text"
            )
            rule += '; close it, and write "" for each quote within a cell in quotes'
            raise UserError(rule, setting=f"{path}, line {row.line_of(cell)}")
        if len(row.cells) != len(dialect.names):
            has, names = len(row.cells), len(dialect.names)
            rule = (
                f"it has {has} {'cells' if has > 1 else 'cell'}, and the header in line {dialect.line} names {names} "
                f"{'columns' if names > 1 else 'column'}; give it as many, and put a cell that holds "
                f"{_shown(dialect.separator)} in quotes"
            )
            rule += "" if names > 1 else "; the names of the columns must stand above all else"
            raise UserError(rule, setting=place, value=has, given=place)
        yield row


def check_rows(path: Path, dialect: Dialect) -> None:
    """Raise UserError, as `whole_rows` does and for a row that is too long, where a file has a fault."""
    for row in whole_rows(path, dialect):
        if sum(map(len, row.written)) > longest_row() // 4 and len("".join(row.written).encode()) > longest_row():
            raise too_long(f"{path}, line {row.line}")


def longest_row() -> int:
    """Return the most bytes of a row, which are read at a time."""
    return limits().cell


def too_long(place: str) -> UserError:
    """Return the error for a row that is too long, at a place such as "a.csv, line 5"."""
    rule = f"the row has more than {longest_row():,} bytes, or a quote in it is not closed"
    return too_much(place, rule, "cell", 4 * longest_row())


def line_of(path: Path, dialect: Dialect, column: str, row: int) -> int:
    """Return the line in which the cell of a row (0, 1, …) begins. The file is read up to there."""
    found = next(islice(rows(path, dialect), row, None), None)
    if found is None:
        return dialect.skipped + 1 + row
    return found.line_of(dialect.names.index(column) if column in dialect.names else 0)


def _is_strict(row: Row, dialect: Dialect) -> bool:
    """Tell whether each cell in quotes ends with its quote."""
    try:
        list(dialect.records(row.written, strict=True))
    except csv.Error:
        return False
    return True


def _breaks(cell: str) -> bool:
    return LINE_BREAK.search(cell) is not None


def _shown(separator: str) -> str:
    return "a tab" if separator == "\t" else repr(separator)
