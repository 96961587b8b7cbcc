"""A table: named columns of n cells, each read when it is asked for, in memory or mapped from disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from skedastic.data.images import Bytes
from skedastic.data.tables.columns import ColumnKind, kind_of_parsed, parse
from skedastic.data.tables.dates import is_day_first
from skedastic.data.tables.location import CellLocation, column_place
from skedastic.data.tables.readers import ColumnReader, FrameReader
from skedastic.errors import unknown
from skedastic.runtime.allocator import give_back

KEPT = 64 * 2**20  # bytes of parsed columns that are kept in memory
LONG = 1_000_000  # rows, of which a column takes memory that is worth giving back


@dataclass(frozen=True, eq=False)
class Table:
    """Cells of n rows, and where they come from.

    Parameters
    ----------
    file : str
        The name of the file in errors.
    reader : ColumnReader
        Reads the columns.
    lines : bool
        Whether errors name cells by line, as in a text file, instead of by row.
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
    declared : mapping of str to ColumnKind
        The kind of each column that need not be told from its cells.
    apart : tuple of str
        Columns that are no features, such as the path of each file of a folder.
    split : str or None
        The column that names each row train, test or validation, where the user names none.
    """

    file: str
    reader: ColumnReader
    lines: bool = False
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: Mapping[str, Callable[[], Bytes]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: tuple[tuple[str, int], ...] = ()
    first: int = 0
    folder: Path | None = None
    declared: Mapping[str, ColumnKind] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    split: str | None = None

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

    def place(self, name: str) -> CellLocation:
        """Return the place of a column, for errors."""
        place = column_place(self.file, name, self.lines, self.files)
        return replace(place, first=place.first + self.first)

    def batches(self, names: Sequence[str], size: int) -> Iterator[Table]:
        """Yield the rows, at most `size` at a time, as tables with these columns."""
        first = 0
        for frame in self.reader.batches(names, size):
            yield replace(self, reader=FrameReader(frame), images={}, files=(), first=first)
            first += len(frame)

    def column(self, name: str, role: str) -> tuple[pd.Series, CellLocation]:
        """Return a column and its place in errors. Raises UserError, with the nearest name, where there is none."""
        if name not in self.names:
            raise unknown(role, name, self.names).at(self.file)
        return self.read(name), self.place(name)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]. A long table first gives the memory of earlier columns back."""
        if len(self) > LONG:
            give_back()
        return self.reader.read(name)


class Columns:
    """The feature columns of a table, n rows, parsed when they are asked for; the last ones are kept.

    `columns[name]` has the type that `parse` gives the kind.

    Parameters
    ----------
    table : Table
        The cells.
    kinds : mapping of str to ColumnKind
        The kind of each column.
    day_first : mapping of str to bool or None, optional
        For each column of dates, whether 3/4 is the third of April.
    """

    def __init__(
        self, table: Table, kinds: Mapping[str, ColumnKind], day_first: Mapping[str, bool] | None = None
    ) -> None:
        self.table, self.kinds, self.day_first = table, dict(kinds), dict(day_first or {})
        self._kept: OrderedDict[str, pd.Series] = OrderedDict()
        self._bytes = 0  # of them

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

    def drop(self, name: str) -> None:
        """Take a column away from the features."""
        del self.kinds[name]
        self._bytes -= _size(self._kept.pop(name))

    def _parsed(self, name: str, cells: pd.Series) -> pd.Series:
        kind = self.kinds[name]
        if kind == "date" and name not in self.day_first:
            self.day_first[name] = is_day_first(cells)
        parsed = parse(cells, kind, self.table.place(name), self.day_first.get(name))
        self._kept[name] = parsed
        self._bytes += _size(parsed)
        while len(self._kept) > 1 and self._bytes > KEPT:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return parsed

    def parts(self, size: int) -> Iterator[Columns]:
        """Yield the rows, at most `size` at a time."""
        for table in self.table.batches(self.columns, size):
            yield Columns(table, self.kinds, self.day_first)

    def frame(self) -> pd.DataFrame:
        """Return all columns in memory."""
        return pd.DataFrame({name: self[name] for name in self.columns})


def _size(column: pd.Series) -> int:
    return int(column.memory_usage(deep=False))


def frame_columns(frame: pd.DataFrame, name: str = "frame") -> Columns:
    """Return the columns of a frame whose types tell their kinds, as `parse` gives them."""
    return Columns(Table(name, FrameReader(frame)), {str(c): kind_of_parsed(frame[c]) for c in frame.columns})
