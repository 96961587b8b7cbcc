"""JSON files as tables: a list of objects, or objects one after the other, one or several files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather

from skedastic.data.sources import gathered
from skedastic.data.sources.json_columns import JsonColumns, completed
from skedastic.data.sources.json_rows import JsonRow, is_list, json_line_of, json_rows
from skedastic.data.tables.readers import ColumnReader
from skedastic.data.tables.table import Table
from skedastic.errors import UserError

AT_A_TIME = 10_000  # rows that become a block


def read_json(paths: Sequence[Path], name: str) -> Table:
    """Read files of objects, one for each row; a key that an object lacks is a missing cell.

    The columns stand in the order in which their keys first occur, and the type of each comes from all rows.
    """
    lists = [is_list(path) for path in paths]
    columns = JsonColumns()
    size = sum(path.stat().st_size for path in paths)
    with _blocks(size) as blocks:
        keys = []
        for path, as_list in zip(paths, lists, strict=True):
            keys.append(_take(path, as_list, columns, blocks))
            if set(keys[-1]) != set(keys[0]):
                gathered.check_same(list(keys[0]), list(keys[-1]), path)
        schema = columns.schema
        files = [partial(blocks.read, path, schema) for path in paths]
        reader, rows = gathered.gathered(files, size, schema.empty_table())
    if not any(schema.names) and blocks.kept:
        raise UserError("its objects have no keys, which name the columns", setting=str(paths[0]))
    shown = tuple(n for n in schema.names if n)
    return Table(
        name,
        JsonReader(reader, shown, columns.faults()),
        lines=None if any(lists) else lambda column, file, row: json_line_of(paths[file], row),
        notes=("left out: the column without a name",) if len(shown) < len(schema.names) else (),
        files=gathered.rows_of_files(paths, rows),
        fractions=columns.fractions,
    )


def _take(path: Path, as_list: bool, columns: JsonColumns, blocks: _Blocks) -> dict[str, None]:
    """Turn a file into blocks, and return its keys."""
    keys: dict[str, None] = {}
    rows, first = json_rows(path), 0
    while part := list(islice(rows, AT_A_TIME)):
        cells = [row.cells for row in part]
        here = _keys(cells)
        blocks.add(path, columns.take(here, cells, partial(_place, path, as_list, part, first)))
        keys |= here
        first += len(part)
    return keys


def _keys(rows: Sequence[dict[str, Any]]) -> dict[str, None]:
    """Return the keys of all rows, in the order in which they first occur."""
    keys: dict[str, None] = {}
    for row in rows:
        if not row.keys() <= keys.keys():
            keys |= dict.fromkeys(row)
    return keys


def _place(path: Path, as_list: bool, rows: Sequence[JsonRow], first: int, row: int) -> str:
    return f"{path.name}, " + (f"row {first + row}" if as_list else f"line {rows[row].line}")


class _Blocks:
    """Blocks of rows by file, in memory or in a folder."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.kept: dict[Path, list[pa.Table | Path]] = {}

    def add(self, path: Path, block: pa.Table) -> None:
        kept = self.kept.setdefault(path, [])
        if self.folder is None:
            kept.append(block)
            return
        target = self.folder / f"{len(self.kept)}-{len(kept)}.arrow"
        feather.write_feather(block, str(target), compression="zstd")
        kept.append(target)

    def read(self, path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
        for block in self.kept.get(path, []):
            yield completed(feather.read_table(str(block)) if isinstance(block, Path) else block, schema)


@contextmanager
def _blocks(size: int) -> Iterator[_Blocks]:
    if size <= gathered.LARGE:
        yield _Blocks(None)
        return
    with tempfile.TemporaryDirectory(prefix="skedastic-", ignore_cleanup_errors=True) as folder:
        yield _Blocks(Path(folder))


class JsonReader:
    """A reader of some of the columns, which raises the error about a column that can't be read.

    Parameters
    ----------
    reader : ColumnReader
        Reads the cells.
    names : tuple of str
        The columns that are shown.
    faults : mapping of str to UserError
        The error about each column that can't be read.
    """

    def __init__(self, reader: ColumnReader, names: tuple[str, ...], faults: Mapping[str, UserError]) -> None:
        self.reader, self.names, self.faults = reader, names, faults

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        return self._reader_of(name).read(name)

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column."""
        return self._reader_of(name).type(name)

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return a column [n] as it is."""
        return self._reader_of(name).arrow(name)

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, `size` at a time."""
        for name in names:
            self._reader_of(name)
        return self.reader.batches(names, size)

    def _reader_of(self, name: str) -> ColumnReader:
        if name in self.faults:
            raise self.faults[name]
        return self.reader
