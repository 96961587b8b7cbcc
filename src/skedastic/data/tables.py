"""A table: named columns of n cells, each read when it is asked for, in memory or mapped from disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skedastic.data.columns import Kind, Place, column_place, kind_of_parsed, parse
from skedastic.data.images import Bytes
from skedastic.errors import UserError, unknown

KEPT = 64 * 2**20  # bytes of parsed columns that are kept in memory


class Cells(Protocol):
    """Named columns of one length."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        ...

    def __len__(self) -> int:
        """Return n."""
        ...

    def read(self, name: str) -> pd.Series:
        """Return a column [n], numbered from 0."""
        ...


@dataclass(frozen=True, eq=False)
class FrameCells:
    """The cells of a frame in memory."""

    frame: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(map(str, self.frame.columns))

    def __len__(self) -> int:
        return len(self.frame)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        return self.frame.iloc[:, self.names.index(name)].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class ArrowCells:
    """The cells of an Arrow table, in memory or mapped from disk."""

    table: pa.Table

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        column: pd.Series = self.table.column(self.names.index(name)).to_pandas()
        return column


@dataclass(frozen=True, eq=False)
class ParquetCells:
    """The cells of Parquet files, one column at a time."""

    files: tuple[pq.ParquetFile, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self.files[0].schema_arrow.names)

    def __len__(self) -> int:
        return sum(int(f.metadata.num_rows) for f in self.files)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        chunks = [f.read(columns=[name]).column(0) for f in self.files]
        whole = pa.chunked_array([c for chunk in chunks for c in chunk.chunks], type=chunks[0].type)
        column: pd.Series = whole.to_pandas()
        return column


@dataclass(frozen=True, eq=False)
class Table:
    """Cells of n rows, and where they come from.

    file: what errors call it. lines: errors name cells by line, as in a text file, instead of by row. label_names: of
    Hugging Face ClassLabel columns. images: what opens each column of images; these are not cells. files: name and rows of
    each file, where there are several.
    """

    file: str
    cells: Cells
    lines: bool = False
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: Mapping[str, Callable[[], Bytes]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    files: tuple[tuple[str, int], ...] = ()

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns that hold cells."""
        return tuple(n for n in self.cells.names if n not in self.images)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Return the names of all columns."""
        return tuple(dict.fromkeys((*self.cells.names, *self.images)))

    def place(self, name: str) -> Place:
        """Return how errors call a column."""
        return column_place(self.file, name, self.lines, self.files)

    def column(self, name: str, role: str) -> tuple[pd.Series, Place]:
        """Return a column and how errors call it. Raises UserError, with the nearest name, where there is none."""
        if name not in self.names:
            raise UserError(f"{self.file}: {unknown(role, name, self.names)}")
        return self.cells.read(name), self.place(name)


class Columns:
    """The feature columns of a table, n rows, parsed when they are asked for; the last ones are kept.

    kinds: what each holds. `columns[name]` has the type that `parse` gives the kind.
    """

    def __init__(self, table: Table, kinds: Mapping[str, Kind]) -> None:
        self.table, self.kinds = table, dict(kinds)
        self._kept: OrderedDict[str, pd.Series] = OrderedDict()

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
        parsed = parse(self.table.cells.read(name), self.kinds[name], self.table.place(name))
        self._kept[name] = parsed
        while len(self._kept) > 1 and sum(int(c.memory_usage(deep=False)) for c in self._kept.values()) > KEPT:
            self._kept.popitem(last=False)
        return parsed

    def frame(self) -> pd.DataFrame:
        """Return all columns in memory."""
        return pd.DataFrame({name: self[name] for name in self.columns})


def frame_columns(frame: pd.DataFrame, name: str = "frame") -> Columns:
    """Return the columns of a frame whose types tell what they hold, as `parse` gives them."""
    return Columns(Table(name, FrameCells(frame)), {str(c): kind_of_parsed(frame[c]) for c in frame.columns})
