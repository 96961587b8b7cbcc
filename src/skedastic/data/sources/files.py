"""Tables in files: CSV, TSV, JSON lines, Parquet and Arrow, one or several, read with the cells as they are written.

These are read by pyarrow, column by column or mapped, rather than by the package datasets. That package keeps a copy
of each in a cache, and would guess what the cells mean before a user can be told where one is wrong.
"""

from __future__ import annotations

import codecs
import json
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq

from skedastic.data.images import parquet_bytes
from skedastic.data.sources.headers import HIDDEN, NOT_TEXT, csv_header, named_twice
from skedastic.data.sources.names import check_file, no_rows, readable, shown_name
from skedastic.data.tables.readers import ArrowFileReader, ArrowReader, ColumnReader, ParquetReader, arrow_reader
from skedastic.data.tables.table import Table
from skedastic.errors import UserError

LARGE = 256 * 2**20  # bytes of text that are turned into Parquet first, in a temporary folder
BLOCK = 16 * 2**20


def read_files(paths: Sequence[Path]) -> Table:
    """Read files of one kind as one table, one after the other.

    Raises UserError where a file is not what its ending says, or they have different columns.
    """
    kinds = sorted({path.suffix.lower() for path in paths})
    if len(kinds) > 1:
        rule = f"files of {len(kinds)} kinds ({', '.join(kinds)}); name files of one kind"
        raise UserError(rule, setting=f"{paths[0]}, …")
    if kinds[0] not in _READERS:
        raise UserError(f"a table must end in {', '.join(_READERS)}", setting=str(paths[0]))
    for path in paths:
        check_file(path)
    return replace(_READERS[kinds[0]](paths, shown_name(paths)), folder=paths[0].parent)


def arrow_readable(path: Path) -> AbstractContextManager[None]:
    """Say in one line that `path` can't be read as what its name says. Raises UserError."""
    return readable(path, pa.ArrowException)


def _read_csv(paths: Sequence[Path], name: str) -> Table:
    """Read comma- or tab-separated files (also ; and |) with a header; every cell is text."""
    first = csv_header(paths[0])
    for path in paths[1:]:
        _check_same([h.strip() for h in first[0]], [h.strip() for h in csv_header(path)[0]], path)
    tables = [partial(_open_csv, path, *csv_header(path)) for path in paths]
    names = [h.strip() for h in first[0]]
    kept = [n for n in names if n]
    reader, files = _gathered(tables, paths, names, kept)
    notes = ("left out: the column without a name",) if len(kept) < len(names) else ()
    return _whole(Table(name, reader, lines=True, notes=notes, files=files))


def _open_csv(path: Path, header: list[str], separator: str) -> Iterator[pa.RecordBatch]:
    try:
        with arrow_readable(path):
            reader = arrow_csv.open_csv(
                path,
                read_options=arrow_csv.ReadOptions(block_size=BLOCK),
                parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
            )
            if reader.schema.names != header:
                rule = "the names of the columns must stand in the first line, and nothing else"
                raise UserError(rule, setting=str(path))
            yield from reader
    except UnicodeDecodeError:
        raise UserError(NOT_TEXT, setting=str(path)) from None


def _read_json(paths: Sequence[Path], name: str) -> Table:
    """Read JSON lines, one object a line, or a file that is one array of objects."""
    tables = []
    for path in paths:
        with arrow_readable(path), path.open("rb") as file:
            is_array = file.read(64).lstrip()[:1] == b"["
        tables.append(_json_array(path) if is_array else _json_lines(path))
    _check_columns([t.schema for t in tables], paths)
    whole = _concatenated(tables, paths)
    return _whole(Table(name, ArrowReader(whole), files=_files(paths, [t.num_rows for t in tables])))


def _json_lines(path: Path) -> pa.Table:
    with arrow_readable(path):
        options = arrow_json.ReadOptions(block_size=max(BLOCK, _longest_line(path)))
        return arrow_json.read_json(path, read_options=options)


def _longest_line(path: Path) -> int:
    """Return the bytes of the longest line. Raises UserError for one that is null: pyarrow would end the process."""
    longest = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            longest = max(longest, len(line))
            if line.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"null"):
                rule = 'must be an object, one for each row, such as {"width": 1.5}'
                raise UserError(rule, setting=f"{path}, line {number}", value="null")
    return longest + 1


def _json_array(path: Path) -> pa.Table:
    try:
        with arrow_readable(path):
            rows = json.loads(path.read_text("utf-8"))
            if not all(isinstance(row, dict) for row in rows):
                raise UserError("a JSON array must hold objects, one for each row", setting=str(path))
            return pa.Table.from_pylist(rows)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"it can't be read as JSON: {error}", setting=str(path)) from None


def _read_parquet(paths: Sequence[Path], name: str) -> Table:
    """Read Parquet files one column at a time; columns of images, as Hugging Face datasets keep them, stay encoded."""
    files = []
    for path in paths:
        with arrow_readable(path):
            files.append(pq.ParquetFile(path, memory_map=True))
    schemas = [f.schema_arrow for f in files]
    _check_columns(schemas, paths)
    declared = hugging_face(schemas[0])
    images = [n for n in schemas[0].names if _holds_images(schemas[0].field(n), declared.get(n, {}))]
    return _whole(
        Table(
            name,
            _Shown(ParquetReader(tuple(files))),
            label_names=class_labels(declared),
            images={n: partial(parquet_bytes, paths, n) for n in images},
            files=_files(paths, [f.metadata.num_rows for f in files]),
        )
    )


def _read_arrow(paths: Sequence[Path], name: str) -> Table:
    """Read Arrow files (or streams, as Hugging Face datasets write them) one column at a time."""
    schemas, rows = [], []
    for path in paths:
        with arrow_readable(path), arrow_reader(path) as reader:
            schemas.append(reader.schema)
            rows.append(reader.read_all().num_rows)  # mapped: no cell is read
    _check_columns(schemas, paths)
    with arrow_readable(paths[0]):
        schema = pa.unify_schemas(schemas, promote_options="permissive")
    reader = _Shown(ArrowFileReader(paths, schema, rows))
    names = class_labels(hugging_face(schemas[0]))
    return _whole(Table(name, reader, label_names=names, files=_files(paths, rows)))


class _Shown:
    """A reader of the columns but for the index that pandas saved."""

    def __init__(self, reader: ColumnReader) -> None:
        self.reader = reader
        self.names = tuple(n for n in reader.names if not HIDDEN.fullmatch(n))

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, name: str) -> pd.Series:
        return self.reader.read(name)

    def type(self, name: str) -> pa.DataType:
        return self.reader.type(name)

    def arrow(self, name: str) -> pa.ChunkedArray:
        return self.reader.arrow(name)

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        return self.reader.batches(names, size)


def _gathered(
    tables: Sequence[Callable[[], Iterator[pa.RecordBatch]]], paths: Sequence[Path], names: list[str], kept: list[str]
) -> tuple[ColumnReader, tuple[tuple[str, int], ...]]:
    """Return a reader of all files: in memory, or where they are large of Parquet files that vanish with the reader."""
    if sum(path.stat().st_size for path in paths) <= LARGE:
        parts = [pa.Table.from_batches(batches) if (batches := list(t())) else None for t in tables]
        whole = [p.rename_columns(names).select(kept) for p in parts if p is not None]
        reader: ColumnReader = ArrowReader(
            pa.concat_tables(whole) if whole else pa.table({n: pa.array([], pa.string()) for n in kept})
        )
        return reader, _files(paths, [0 if p is None else p.num_rows for p in parts])
    folder = Path(tempfile.mkdtemp(prefix="skedastic-"))
    written: list[pq.ParquetFile] = []
    reader = ParquetReader(written)
    weakref.finalize(reader, shutil.rmtree, folder, ignore_errors=True)
    for i, table in enumerate(tables):
        target = folder / f"{i}.parquet"
        writer = None
        for batch in table():
            part = pa.Table.from_batches([batch]).rename_columns(names).select(kept)
            writer = writer or pq.ParquetWriter(target, part.schema, compression="zstd")
            writer.write_table(part)
        if writer is not None:
            writer.close()
            written.append(pq.ParquetFile(target, memory_map=True))
    return reader, _files(paths, [w.metadata.num_rows for w in written])


def _concatenated(tables: Sequence[pa.Table], paths: Sequence[Path]) -> pa.Table:
    with arrow_readable(paths[0]):
        return pa.concat_tables(tables, promote_options="permissive")


def _files(paths: Sequence[Path], rows: Sequence[int]) -> tuple[tuple[str, int], ...]:
    return () if len(paths) == 1 else tuple((path.name, int(n)) for path, n in zip(paths, rows, strict=True))


def _check_columns(schemas: Sequence[pa.Schema], paths: Sequence[Path]) -> None:
    twice = [n for n, count in Counter(schemas[0].names).items() if count > 1]
    if twice:
        raise named_twice(str(paths[0]), twice[0])
    for schema, path in zip(schemas[1:], paths[1:], strict=True):
        _check_same(schemas[0].names, schema.names, path)


def _check_same(first: Sequence[str], names: Sequence[str], path: Path) -> None:
    if list(first) != list(names):
        lacks, has = [n for n in first if n not in names], [n for n in names if n not in first]
        difference = (
            f"lacks {lacks[0]!r}" if lacks else f"has {has[0]!r} beside" if has else "has them in another order"
        )
        rule = f"its columns are not those of the first file: it {difference}; give all files the same"
        raise UserError(rule, setting=str(path))


def _whole(table: Table) -> Table:
    if len(table) == 0:
        raise no_rows(table.file)
    return table


def hugging_face(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Return the features that a Hugging Face dataset declares of its columns, or nothing."""
    try:
        declared = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {name: f for name, f in declared.items() if isinstance(f, dict)} if isinstance(declared, dict) else {}


def class_labels(declared: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the names that the integers of each ClassLabel column stand for."""
    return {name: tuple(f["names"]) for name, f in declared.items() if f.get("_type") == "ClassLabel"}


def _holds_images(column: pa.Field, feature: Mapping[str, Any]) -> bool:
    is_struct = pa.types.is_struct(column.type) and {"bytes", "path"} <= {f.name for f in column.type}
    return feature.get("_type") == "Image" or is_struct


_READERS: dict[str, Callable[[Sequence[Path], str], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
}
