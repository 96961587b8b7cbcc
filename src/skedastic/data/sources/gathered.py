"""Tables that come in parts, gathered: in memory, or where they are large in Parquet files that vanish again."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from skedastic.data.tables.readers import ArrowReader, ColumnReader, ParquetReader, open_parquet
from skedastic.errors import UserError

LARGE = 64 * 2**20  # bytes of text that are turned into Parquet first, in a temporary folder
GROUP = 2**24  # bytes of a row group of these
Parts = Callable[[], Iterator[pa.Table]]  # of one file


def gathered(files: Sequence[Parts], size: int, empty: pa.Table) -> tuple[ColumnReader, list[int]]:
    """Return a reader of the parts of all files, and the number of rows of each.

    Parameters
    ----------
    files : sequence of callable
        Each yields the parts of a file, all of one schema.
    size : int
        The bytes of all files together.
    empty : Table
        What is read where there are no parts.
    """
    if size <= LARGE:
        tables = [pa.concat_tables(parts) if (parts := list(f())) else empty for f in files]
        filled = [t for t in tables if t.num_rows] or [empty]
        return ArrowReader(pa.concat_tables(filled)), [t.num_rows for t in tables]
    folder = Path(tempfile.mkdtemp(prefix="skedastic-"))
    written: list[pq.ParquetFile] = []
    reader = ParquetReader(written)
    weakref.finalize(reader, shutil.rmtree, folder, ignore_errors=True)
    rows = []
    for number, file in enumerate(files):
        path, writer = folder / f"{number}.parquet", None
        for part in _joined(file()):
            writer = writer or pq.ParquetWriter(path, part.schema, compression="zstd")
            writer.write_table(part)
        if writer is not None:
            writer.close()
            written.append(open_parquet(path))
        rows.append(0 if writer is None else written[-1].metadata.num_rows)
    pa.default_memory_pool().release_unused()  # else it keeps what the blocks of text took
    return (reader if written else ArrowReader(empty)), rows


def _joined(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield small parts together, so that a row group is none of a few rows."""
    held, size = list[pa.Table](), 0
    for part in parts:
        held.append(part)
        size += part.nbytes
        if size >= GROUP:
            yield pa.concat_tables(held)
            held, size = [], 0
    if held:
        yield pa.concat_tables(held)


def rows_of_files(paths: Sequence[Path], rows: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """Return the name and the number of rows of each file, where there are several."""
    return () if len(paths) == 1 else tuple((path.name, int(n)) for path, n in zip(paths, rows, strict=True))


def check_same(first: Sequence[str], names: Sequence[str], path: Path) -> None:
    """Raise UserError where a file has other columns than the first one."""
    if list(first) != list(names):
        lacks, has = [n for n in first if n not in names], [n for n in names if n not in first]
        difference = (
            f"lacks {lacks[0]!r}" if lacks else f"has {has[0]!r} beside" if has else "has them in another order"
        )
        rule = f"its columns are not those of the first file: it {difference}; give all files the same"
        raise UserError(rule, setting=str(path))
