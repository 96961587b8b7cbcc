"""Tables in files: CSV, TSV, JSON lines, Parquet and Arrow, one or several, read with the cells as they are written.

These are read by pyarrow, column by column or mapped, rather than by the package datasets. That package keeps a copy
of each in a cache, and would guess what the cells mean before a user can be told where one is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from skedastic.data.images import parquet_bytes
from skedastic.data.sources.csv_tables import read_csv
from skedastic.data.sources.gathered import check_same, rows_of_files
from skedastic.data.sources.headers import HIDDEN, named_twice
from skedastic.data.sources.json_tables import read_json
from skedastic.data.sources.names import check_file, no_rows, readable, shown_name
from skedastic.data.tables.arrow_types import common_schema
from skedastic.data.tables.readers import (
    ArrowFileReader,
    ColumnReader,
    ParquetReader,
    RenamedReader,
    arrow_batches,
    arrow_reader,
    open_parquet,
)
from skedastic.data.tables.table import Table
from skedastic.errors import UserError
from skedastic.runtime.plain_files import json_value


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
    table = _READERS[kinds[0]](paths, shown_name(paths))
    if len(table) == 0:
        raise no_rows(table.file)
    return replace(table, folder=paths[0].parent)


def arrow_readable(path: Path) -> AbstractContextManager[None]:
    """Say in one line that `path` can't be read as what its name says. Raises UserError."""
    return readable(path, pa.ArrowException)


def _read_parquet(paths: Sequence[Path], name: str) -> Table:
    """Read Parquet files one column at a time; columns of images, as Hugging Face datasets keep them, stay encoded."""
    files = []
    for path in paths:
        with arrow_readable(path):
            files.append(open_parquet(path))
    schemas = [f.schema_arrow for f in files]
    _check_columns(schemas, paths)
    declared = hugging_face(schemas[0])
    images = [n for n in schemas[0].names if _holds_images(schemas[0].field(n), declared.get(n, {}))]
    return Table(
        name,
        _shown(ParquetReader(tuple(files), common_schema(schemas, [path.name for path in paths]), paths)),
        label_names=class_labels(declared),
        images={n.strip(): partial(parquet_bytes, paths, n) for n in images},
        files=rows_of_files(paths, [f.metadata.num_rows for f in files]),
    )


def _read_arrow(paths: Sequence[Path], name: str) -> Table:
    """Read Arrow files (or streams, as Hugging Face datasets write them) one column at a time."""
    schemas, rows = [], []
    for path in paths:
        with arrow_readable(path), arrow_reader(path) as reader:
            schemas.append(reader.schema)
            rows.append(sum(batch.num_rows for batch in arrow_batches(reader, path)))  # mapped: no cell is read
    _check_columns(schemas, paths)
    schema = common_schema(schemas, [path.name for path in paths])
    reader = _shown(ArrowFileReader(paths, schema, rows))
    names = class_labels(hugging_face(schemas[0]))
    return Table(name, reader, label_names=names, files=rows_of_files(paths, rows))


def _shown(reader: ColumnReader) -> ColumnReader:
    """Return a reader of the columns that have a name, but for the index that pandas saved."""
    names = {n.strip(): n for n in reader.names if n.strip() and not HIDDEN.fullmatch(n)}
    return RenamedReader(reader, names)


def _check_columns(schemas: Sequence[pa.Schema], paths: Sequence[Path]) -> None:
    twice = [n for n, count in Counter(map(str.strip, schemas[0].names)).items() if n and count > 1]
    if twice:
        raise named_twice(str(paths[0]), twice[0])
    for schema, path in zip(schemas[1:], paths[1:], strict=True):
        check_same(schemas[0].names, schema.names, path)


def hugging_face(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Return the features that a Hugging Face dataset declares of its columns, or nothing."""
    try:
        declared = json_value((schema.metadata or {})[b"huggingface"], "")["info"]["features"]
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
    return {name: f for name, f in declared.items() if isinstance(f, dict)} if isinstance(declared, dict) else {}


def class_labels(declared: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the names that the integers of each ClassLabel column stand for."""
    return {name.strip(): tuple(f["names"]) for name, f in declared.items() if f.get("_type") == "ClassLabel"}


def _holds_images(column: pa.Field, feature: Mapping[str, Any]) -> bool:
    is_struct = pa.types.is_struct(column.type) and {"bytes", "path"} <= {f.name for f in column.type}
    return feature.get("_type") == "Image" or is_struct


_READERS: dict[str, Callable[[Sequence[Path], str], Table]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
}
