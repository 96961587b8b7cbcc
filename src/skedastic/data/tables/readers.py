"""Readers of columns: from a frame, an Arrow table, or files that are read one column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
