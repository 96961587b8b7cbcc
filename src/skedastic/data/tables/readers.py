"""Readers of columns: from a frame, an Arrow table, or files that are read one column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skedastic.data.tables.unpacked import Footer, check_cells
from skedastic.data.tables.values import encodable
from skedastic.errors import UserError, first_line
from skedastic.runtime.limits import check_unpacked

MAPPED = 64 * 2**20  # bytes of an Arrow file that are mapped at a time where rows are read one after the other
BUFFER = 2**18  # bytes of each column of a Parquet file that are read ahead
UNALIKE = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)
NULLABLE: dict[pa.DataType, Any] = {  # what holds the cells of a column that lacks some, to the last digit
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


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

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column, in which its cells are handed on."""
        ...

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return a column [n] as it is, of the type that `type` tells."""
        ...

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, about `size` at a time, with these columns."""
        ...


def to_series(column: pa.ChunkedArray) -> pd.Series:
    """Return an Arrow column [n] in the types of pandas: whole numbers stay whole where cells are missing."""
    series: pd.Series = column.to_pandas(types_mapper=NULLABLE.get if column.null_count else None)
    return series


def to_arrow(column: pd.Series) -> pa.ChunkedArray:
    """Return a column of pandas [n] as an Arrow column: cells of several types become text."""
    for cells in (column, map(_plain_list, column), map(_text, column)):
        try:
            whole = pa.array(cells, from_pandas=True)
        except UNALIKE:
            continue
        return whole if isinstance(whole, pa.ChunkedArray) else pa.chunked_array([whole])
    raise TypeError("text is of one type")


def _plain_list(cell: Any) -> Any:
    return cell.tolist() if isinstance(cell, np.ndarray) or hasattr(cell, "detach") else cell


def _text(cell: Any) -> str | None:
    return None if pd.isna(cell) is True else encodable(str(cell))


@dataclass(frozen=True, eq=False)
class FrameReader:
    """The cells of a frame in memory."""

    frame: pd.DataFrame

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(str(column).strip() for column in self.frame.columns)

    def __len__(self) -> int:
        return len(self.frame)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        column = self.frame.iloc[:, self.names.index(name)].reset_index(drop=True)
        return to_series(to_arrow(column)) if isinstance(column.dtype, pd.ArrowDtype) else column

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column."""
        return self.arrow(name).type

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return a column [n] as it is."""
        return to_arrow(self.frame.iloc[:, self.names.index(name)])

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, `size` at a time."""
        places = [self.names.index(n) for n in names]
        for start in range(0, len(self), size):
            yield FrameReader(self.frame.iloc[start : start + size, places].set_axis(list(names), axis=1))


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
        return to_series(self.arrow(name))

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column."""
        return self.table.schema.types[self.names.index(name)]

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return a column [n] as it is."""
        return self.table.column(self.names.index(name))

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, `size` at a time."""
        part = self.table.select(list(names))
        for start in range(0, len(self), size):
            yield ArrowReader(part.slice(start, size))


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
        return checked_series(self.arrow(name), name)

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column."""
        return self.schema.field(name).type

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return a column [n] as it is."""
        parts = []
        for path in self.paths:
            with arrow_reader(path, [self.schema.names.index(name)]) as reader:
                parts.append(pa.Table.from_batches(arrow_batches(reader, path, name), reader.schema))
        return pa.concat_tables([cast(part, self.schema) for part in parts]).column(0)

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, `size` at a time."""
        tables = (pa.Table.from_batches([b]) for path in self.paths for b in self._batches(path, names))
        return _rebatched((cast(t.select(list(names)), self.schema) for t in tables), size)

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


def cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table in the types that a schema has for its columns.

    Raises UserError for integers that the decimals of another file would make inexact.
    """
    target = pa.schema([schema.field(name) for name in table.column_names])
    if table.schema.equals(target):
        return table
    try:
        return table.cast(target)
    except pa.ArrowInvalid as error:
        place = f"columns {', '.join(map(repr, table.column_names[:6]))}"
        rule = f"files hold them in types that one can't hold ({first_line(error, 80)}); save all files with one type"
        raise UserError(rule, setting=place, given=place) from None


def frame_reader(frame: Any) -> ColumnReader:
    """Return a reader of a frame: of pandas, of Polars or of others that Arrow takes.

    Parameters
    ----------
    frame : Any
        The frame.
    """
    if isinstance(frame, pd.DataFrame):
        return FrameReader(frame)
    if not isinstance(frame, pa.Table) and not hasattr(frame, "__arrow_c_stream__"):
        return FrameReader(frame.to_pandas())
    table = pa.table(frame)
    return ArrowReader(table.rename_columns([name.strip() for name in table.column_names]))


@dataclass(frozen=True, eq=False)
class RenamedReader:
    """Some columns of a reader, under other names.

    Parameters
    ----------
    reader : ColumnReader
        The reader.
    own : mapping of str to str
        The reader's name of each column.
    """

    reader: ColumnReader
    own: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self.own)

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        return self.reader.read(self.own[name])

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column."""
        return self.reader.type(self.own[name])

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return a column [n] as it is."""
        return self.reader.arrow(self.own[name])

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, `size` at a time."""
        own = {name: self.own[name] for name in names}
        for part in self.reader.batches(list(own.values()), size):
            yield RenamedReader(part, own)


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


def arrow_batches(reader: Any, path: Path, name: str = "") -> Iterator[pa.RecordBatch]:
    """Yield the batches of an Arrow file, one column of them or all.

    Raises UserError where they take more memory than is allowed, and than the file itself does, which is mapped.
    """
    one_by_one = isinstance(reader, pa.ipc.RecordBatchStreamReader)
    batches = iter(reader) if one_by_one else map(reader.get_batch, range(reader.num_record_batches))
    size, own = 0, path.stat().st_size
    for batch in batches:
        size += batch.nbytes
        if size > own:
            check_unpacked(f"{path}{f', column {name!r}' if name else ''}", size)
        yield batch


def checked_series(cells: pa.ChunkedArray, name: str) -> pd.Series:
    """Return a column [n], as `to_series` does. Raises UserError where one of its cells is too long."""
    check_cells(cells, name)
    return to_series(cells)


def _rebatched(tables: Iterable[pa.Table], size: int) -> Iterator[ColumnReader]:
    """Yield the rows of tables, `size` at a time."""
    waiting: pa.Table | None = None
    for table in tables:
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        while len(waiting) >= size:
            yield ArrowReader(waiting.slice(0, size))
            waiting = waiting.slice(size)
    if waiting is not None and len(waiting):
        yield ArrowReader(waiting)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file, of which some pages at a time are read: if it were mapped, all of them would stay in memory.

    Parameters
    ----------
    path : Path
        The file.
    """
    return pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)


@dataclass(frozen=True, eq=False)
class ParquetReader:
    """The cells of Parquet files, one column at a time.

    Parameters
    ----------
    files : sequence of ParquetFile
        The files.
    schema : pyarrow.Schema or None, optional
        The schema of all of them together; by default that of the first.
    paths : sequence of Path, optional
        Where the files are, so that what their columns take in memory is checked; those that we wrote need none.
    """

    files: Sequence[pq.ParquetFile]
    schema: pa.Schema | None = None
    paths: Sequence[Path] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self.files[0].schema_arrow.names)

    def __len__(self) -> int:
        return sum(int(f.metadata.num_rows) for f in self.files)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        return checked_series(self.arrow(name), name)

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column: one that holds the cells of all files."""
        return self._schema.field(name).type

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return a column [n] as it is."""
        self._check(name, whole=True)
        chunks = [cast(f.read(columns=[name]), self._schema).column(0) for f in self.files]
        return pa.chunked_array([c for chunk in chunks for c in chunk.chunks], type=self.type(name))

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, `size` at a time."""
        for name in names:
            self._check(name, whole=False)
        batches = (b for file in self.files for b in file.iter_batches(size, columns=list(names)))
        return _rebatched((cast(pa.Table.from_batches([b]).select(list(names)), self._schema) for b in batches), size)

    @cached_property
    def _footers(self) -> tuple[Footer, ...]:
        return tuple(map(Footer, self.paths))

    def _check(self, name: str, *, whole: bool) -> None:
        for footer in self._footers:
            footer.check(name, whole=whole)

    @cached_property
    def _schema(self) -> pa.Schema:
        """The schema of all files together."""
        return self.files[0].schema_arrow.remove_metadata() if self.schema is None else self.schema
