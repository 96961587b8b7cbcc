"""A table: named columns of n cells, each read when it is asked for, in memory or mapped from disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skedastic.data.images import Bytes
from skedastic.data.settings import Decimal
from skedastic.data.tables.columns import ColumnKind, kind_of_parsed, parse
from skedastic.data.tables.dates import is_day_first
from skedastic.data.tables.dress import PLAIN, Dress, Hint
from skedastic.data.tables.location import CellLocation, Lines, column_place
from skedastic.data.tables.numbers import parse_numbers
from skedastic.data.tables.readers import ColumnReader, FrameReader
from skedastic.data.tables.reading import Reading, copied
from skedastic.data.tables.values import unusable
from skedastic.data.tables.vectors import Values, as_lists, length_of, vectors
from skedastic.errors import UserError, unknown
from skedastic.runtime.allocator import give_back

KEPT = 64 * 2**20  # bytes of parsed columns that are kept in memory
ROWS = 8_192  # lists that are read at a time
LONG = 1_000_000  # rows, of which a column takes memory that is worth giving back
Holds = Literal["value", "label", "lists"]  # what a column holds in each row, in its role


@dataclass(frozen=True, eq=False)
class Table:
    """Cells of n rows, and where they come from.

    Parameters
    ----------
    file : str
        The name of the file in errors.
    reader : ColumnReader
        Reads the columns.
    lines : callable or None
        The line of the file where a cell begins, as errors name it; None where they name cells by row.
    notes : tuple of str
        For the user.
    label_names : mapping of str to tuple of str
        The names of the classes of each Hugging Face ClassLabel column.
    images : mapping of str to callable
        Opens each column of images; these are not cells.
    files : tuple of (str, int)
        The name and the number of rows of each file, where there are several.
    first : int
        The row of the file that is the first here.
    folder : Path or None
        The folder that holds the file.
    separator : str
        What stands between the cells of a CSV file; "" for other files, and for files that differ in it.
    decimal : Decimal
        The decimal sign of numbers in text, where the user says it.
    declared : mapping of str to ColumnKind
        The kind of each column that need not be told from its cells.
    apart : tuple of str
        Columns that are no features, such as the path of each file of a folder.
    split : str or None
        The column that names each row train, test or validation, where the user names none.
    fractions : tuple of str
        Columns of text some cells of which were numbers such as 1.5 in the file, by their type.
    """

    file: str
    reader: ColumnReader
    lines: Lines | None = None
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: Mapping[str, Callable[[], Bytes]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: tuple[tuple[str, int], ...] = ()
    first: int = 0
    folder: Path | None = None
    separator: str = ""
    decimal: Decimal = "auto"
    declared: Mapping[str, ColumnKind] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    split: str | None = None
    fractions: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns that hold cells."""
        return tuple(n for n in self.reader.names if n not in self.images)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Return the names of all columns."""
        return tuple(dict.fromkeys((*self.reader.names, *self.images)))

    def hint(self, name: str = "") -> Hint:
        """Return what is known of the table's numbers, and of those of a column, before they are read."""
        return Hint(self.decimal, comma_likely=self.separator == ";", typed=name in self.fractions)

    def place(self, name: str) -> CellLocation:
        """Return the place of a column, for errors."""
        return column_place(self.file, name, self.lines, self.files, self.first)

    def batches(self, names: Sequence[str], size: int) -> Iterator[Table]:
        """Yield the rows, at most `size` at a time, as tables with these columns."""
        first = self.first
        for part in self.reader.batches(names, size):
            yield replace(self, reader=part, images={}, first=first)
            first += len(part)

    def check(self, name: str, role: str) -> None:
        """Raise UserError, with the nearest name, where there is no such column."""
        if name not in self.names:
            error = unknown(role, name, self.names).at(self.file)
            if len(self.names) == 1 and self.separator and " " in self.names[0]:
                raise error.adding("; it has one column, since no comma, tab, semicolon or | stands between its names")
            raise error

    def column(self, name: str, role: str, holds: Holds = "value") -> tuple[pd.Series, CellLocation]:
        """Return a column and its place in errors.

        Parameters
        ----------
        name : str
            The column.
        role : str
            Its role, in errors.
        holds : Holds, optional
            A value in each row; a label or number, which no date is; or perhaps lists of them.

        Raises
        ------
        UserError
            There is no such column, or its cells are something else.
        """
        self.check(name, role)
        cells, place = self.read(name), self.place(name)
        if holds != "lists" and (what := unusable(cells, dates=holds == "value")) is not None:
            one = "value" if holds == "value" else "label or number"
            rule = f"it holds {what}, and a {role} holds one {one} in each row; name another column"
            raise UserError(rule, setting=place.column, value=what, given=place.column)
        return cells, place

    def read(self, name: str) -> pd.Series:
        """Return a column [n]. A long table first gives the memory of earlier columns back."""
        if len(self) > LONG:
            give_back()
        return self.reader.read(name)


class Columns:
    """The feature columns of a table, n rows, parsed when they are asked for; the last ones are kept.

    `columns[name]` has the type that `parse` gives the kind; lists of numbers are read by `vectors`.

    Parameters
    ----------
    table : Table
        The cells.
    kinds : mapping of str to ColumnKind
        The kind of each column.
    reading : Reading or None, optional
        How their cells are read, as training has found it; by default the cells tell.
    """

    def __init__(self, table: Table, kinds: Mapping[str, ColumnKind], reading: Reading | None = None) -> None:
        self.table, self.kinds = table, dict(kinds)
        self.reading, self._is_known = reading or Reading(), reading is not None
        self._kept: OrderedDict[str, pd.Series] = OrderedDict()
        self._bytes = 0  # of them

    def of(self, table: Table) -> Columns:
        """Return these columns of another table, which holds the same cells."""
        columns = Columns(table, self.kinds, copied(self.reading))
        columns._is_known = self._is_known
        return columns

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self.kinds)

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.kinds)

    def __getitem__(self, name: str) -> pd.Series:
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        return self._parsed(name, self.table.read(name))

    def add(self, name: str, kind: ColumnKind, cells: pd.Series) -> pd.Series:
        """Take a column of these cells among the features, and return it parsed."""
        self.kinds[name] = kind
        return self._parsed(name, cells)

    def read_as(self, name: str, dress: Dress, cells: pd.Series) -> None:
        """Read a column of numbers again, as they are written so."""
        self.reading.dresses[name] = dress
        self._bytes -= _size(self._kept.pop(name)) if name in self._kept else 0
        self._parsed(name, cells)

    def drop(self, name: str) -> None:
        """Take a column away from the features."""
        del self.kinds[name]
        self._bytes -= _size(self._kept.pop(name))
        self.reading.day_first.pop(name, None)
        self.reading.dresses.pop(name, None)

    def add_vectors(self, name: str) -> int | None:
        """Take a column of lists of numbers among the features, and return their length; None where all are missing.

        Raises UserError for a list of another length, and for a number in it that is missing or not finite.
        """
        for part in self.table.batches([name], ROWS):
            cells = as_lists(part.reader.arrow(name), part.place(name))
            length = self.reading.lengths.get(name) or length_of(cells, part.place(name))
            if length is not None:
                self.reading.lengths[name] = length
                vectors(cells, length, part.place(name))
        if name not in self.reading.lengths:
            return None
        self.kinds[name] = "vector"
        return self.reading.lengths[name]

    def vector_parts(self, name: str) -> Iterator[Values]:
        """Yield the lists of a column as numbers [m, d], NaN where one is missing, some rows at a time."""
        for part in self.table.batches([name], ROWS):
            place = part.place(name)
            yield vectors(as_lists(part.reader.arrow(name), place), self.reading.lengths[name], place)

    def vectors(
        self, name: str, rows: NDArray[np.int64] | None, scaled: Callable[[Values], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return the lists of rows [m], or of all, as `scaled` makes them of their numbers [k, d]; [m, d].

        Only some lists at a time are in memory before they are scaled.
        """
        wanted = np.arange(len(self)) if rows is None else rows
        out, first = np.empty((len(wanted), self.reading.lengths[name]), dtype=np.float32), 0
        for part in self.vector_parts(name):
            here = (wanted >= first) & (wanted < first + len(part))
            out[here] = scaled(part[wanted[here] - first])
            first += len(part)
        return out

    def check(self) -> None:
        """Raise UserError for a cell that can't be read."""
        for name, kind in self.kinds.items():
            for _ in self.vector_parts(name) if kind == "vector" else (self[name],):
                pass

    def _parsed(self, name: str, cells: pd.Series) -> pd.Series:
        kind, place = self.kinds[name], self.table.place(name)
        if kind == "number":
            parsed = self._numbers(name, cells)
        else:
            if kind == "date" and name not in self.reading.day_first and (first := is_day_first(cells)) is not None:
                self.reading.day_first[name] = first
            parsed = parse(cells, kind, place, self.reading.day_first.get(name))
        self._kept[name] = parsed
        self._bytes += _size(parsed)
        while len(self._kept) > 1 and self._bytes > KEPT:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return parsed

    def _numbers(self, name: str, cells: pd.Series) -> pd.Series:
        dress = self.reading.dresses.get(name, PLAIN if self._is_known else None)
        parsed, found = parse_numbers(cells, self.table.place(name), dress, self.table.hint(name))
        if found != PLAIN and not self._is_known:
            self.reading.dresses[name] = found
        return parsed

    def parts(self, size: int) -> Iterator[Columns]:
        """Yield the rows, at most `size` at a time."""
        for table in self.table.batches(self.columns, size):
            yield Columns(table, self.kinds, self.reading)

    def frame(self) -> pd.DataFrame:
        """Return all columns in memory."""
        return pd.DataFrame({name: self[name] for name in self.columns})


def _size(column: pd.Series) -> int:
    return int(column.memory_usage(deep=False))


def frame_columns(frame: pd.DataFrame, name: str = "frame") -> Columns:
    """Return the columns of a frame whose types tell their kinds, as `parse` gives them."""
    return Columns(Table(name, FrameReader(frame)), {str(c): kind_of_parsed(frame[c]) for c in frame.columns})
