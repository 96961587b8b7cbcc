"""A table: named columns of n cells, each read when it is asked for, in memory or mapped from disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skedastic.data.images import Bytes
from skedastic.data.tables.columns import CellLocation, ColumnKind, column_place, is_day_first, kind_of_parsed, parse
from skedastic.errors import unknown
from skedastic.runtime.allocator import give_back

KEPT = 64 * 2**20  # bytes of parsed columns that are kept in memory
LONG = 1_000_000  # rows, of which a column takes memory that is worth giving back
MAPPED = 64 * 2**20  # bytes of an Arrow file that are mapped at a time where rows are read one after the other


class ColumnReader(Protocol):
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

    def batches(self, names: Sequence[str], size: int) -> Iterator[pd.DataFrame]:
        """Yield the rows, about `size` at a time, with these columns."""
        ...


@dataclass(frozen=True, eq=False)
class FrameReader:
    """The cells of a frame in memory."""

    frame: pd.DataFrame

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(map(str, self.frame.columns))

    def __len__(self) -> int:
        return len(self.frame)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        return self.frame.iloc[:, self.names.index(name)].reset_index(drop=True)

    def batches(self, names: Sequence[str], size: int) -> Iterator[pd.DataFrame]:
        """Yield the rows, `size` at a time."""
        places = [self.names.index(n) for n in names]
        for start in range(0, len(self), size):
            yield self.frame.iloc[start : start + size, places].reset_index(drop=True).set_axis(list(names), axis=1)


@dataclass(frozen=True, eq=False)
class ArrowReader:
    """The cells of an Arrow table in memory."""

    table: pa.Table

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        column: pd.Series = self.table.column(self.names.index(name)).to_pandas()
        return column

    def batches(self, names: Sequence[str], size: int) -> Iterator[pd.DataFrame]:
        """Yield the rows, `size` at a time."""
        part = self.table.select(list(names))
        for start in range(0, len(self), size):
            yield part.slice(start, size).to_pandas(ignore_metadata=True)


@dataclass(frozen=True, eq=False)
class ArrowFileReader:
    """The cells of Arrow files (or streams, as Hugging Face datasets write them), one column at a time.

    A file is mapped only while it is read, so that its pages do not stay in memory.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    schema : pyarrow.Schema
        The schema of all of them together.
    rows : sequence of int
        The number of rows of each file.
    """

    paths: Sequence[Path]
    schema: pa.Schema
    rows: Sequence[int]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self.schema.names)

    def __len__(self) -> int:
        return sum(self.rows)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        parts = []
        for path in self.paths:
            with arrow_reader(path, [self.schema.names.index(name)]) as reader:
                parts.append(reader.read_all())
        column: pd.Series = pa.concat_tables(parts, promote_options="permissive").column(0).to_pandas()
        return column

    def batches(self, names: Sequence[str], size: int) -> Iterator[pd.DataFrame]:
        """Yield the rows, `size` at a time."""
        target = pa.schema([self.schema.field(n) for n in names])
        tables = (pa.Table.from_batches([b]) for path in self.paths for b in self._batches(path, names))
        return _rebatched((t.select(list(names)).cast(target) for t in tables), size)

    def _batches(self, path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a file, with these columns.

        The file is mapped again before too much of it is in memory.
        """
        fields = [self.schema.names.index(n) for n in names]
        done, count = 0, 1
        while done < count:
            with arrow_reader(path, fields) as reader:
                if isinstance(reader, pa.ipc.RecordBatchStreamReader):
                    yield from reader
                    return
                count = reader.num_record_batches
                end = done + max(1, count * MAPPED // max(path.stat().st_size, 1))
                yield from map(reader.get_batch, range(done, min(end, count)))
                done = end


@contextmanager
def arrow_reader(path: Path, fields: Sequence[int] | None = None) -> Iterator[Any]:
    """Lend the reader of an Arrow file, or of a stream in a file.

    Parameters
    ----------
    path : Path
        The file.
    fields : sequence of int or None, optional
        The columns that it reads, in their order there; by default all.
    """
    options = pa.ipc.IpcReadOptions(included_fields=None if fields is None else sorted(fields))
    with pa.memory_map(str(path)) as source:
        try:
            reader = pa.ipc.open_file(source, options=options)
        except pa.ArrowInvalid:
            source.seek(0)
            reader = pa.ipc.open_stream(source, options=options)
        yield reader


def _rebatched(tables: Iterable[pa.Table], size: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of tables, `size` at a time."""
    waiting: pa.Table | None = None
    for table in tables:
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        while len(waiting) >= size:
            yield waiting.slice(0, size).to_pandas(ignore_metadata=True)
            waiting = waiting.slice(size)
    if waiting is not None and len(waiting):
        yield waiting.to_pandas(ignore_metadata=True)


@dataclass(frozen=True, eq=False)
class ParquetReader:
    """The cells of Parquet files, one column at a time."""

    files: Sequence[pq.ParquetFile]

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

    def batches(self, names: Sequence[str], size: int) -> Iterator[pd.DataFrame]:
        """Yield the rows, `size` at a time."""
        batches = (b for file in self.files for b in file.iter_batches(size, columns=list(names)))
        return _rebatched((pa.Table.from_batches([b]).select(list(names)) for b in batches), size)


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
