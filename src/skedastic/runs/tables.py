"""Rows written as one CSV, Parquet or JSON lines file, whole or not at all, in types that are known beforehand."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from skedastic.data.tables.readers import to_arrow
from skedastic.errors import UserError
from skedastic.runs.folder import check_new_table, written_file
from skedastic.runtime.escaping import in_csv, in_json

BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())
SOURCE = "source_"  # before the name of a column of the source that has a name of ours


class _JsonLines:
    """Write tables as JSON lines: every digit of a number, null for a missing cell and for infinity."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write_table(self, table: pa.Table) -> None:
        columns = [_json_values(table.column(i)) for i in range(table.num_columns)]
        for row in zip(*columns, strict=True):
            cells = dict(zip(table.column_names, row, strict=True))
            line = json.dumps(cells, ensure_ascii=False, allow_nan=False, default=_json_text)
            self._file.write(in_json(line) + "\n")

    def close(self) -> None:
        self._file.close()


class _Csv:
    """Write tables as CSV: no cell and no head is a formula of a spreadsheet, or a command to a terminal."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = pa.schema([field.with_name(in_csv(field.name)) for field in schema])
        self._writer = arrow_csv.CSVWriter(path, self._schema)

    def write_table(self, table: pa.Table) -> None:
        self._writer.write_table(pa.table([*map(_csv_cells, table.columns)], schema=self._schema))

    def close(self) -> None:
        self._writer.close()


FORMATS: dict[str, Any] = {".parquet": pq.ParquetWriter, ".csv": _Csv, ".jsonl": _JsonLines}


def written_type(kind: pa.DataType, ending: str) -> pa.DataType:
    """Return the type in which cells of an Arrow type are written: declared categories as their values.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type in the source.
    ending : str
        Of the file that is written; where it is text, bytes are decoded.
    """
    if pa.types.is_dictionary(kind):
        return written_type(kind.value_type, ending)
    if kind in BYTES or pa.types.is_fixed_size_binary(kind):
        return pa.string() if ending != ".parquet" else pa.binary() if kind == pa.binary_view() else kind
    return pa.string() if kind == pa.string_view() else kind


def in_type(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    """Return a column [n] in the type in which it is written. Raises UserError for bytes that are no text."""
    if column.type == pa.binary_view():
        column = column.cast(pa.binary())
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        rule = f"column {name!r} holds bytes that are no text; write .parquet, or leave the column out"
        raise UserError(rule, setting="out", given="the file to write") from None


def names_beside(names: Sequence[str], ours: Collection[str]) -> dict[str, str]:
    """Return the name under which each column of a source is written beside our own.

    A column that has a name of ours, such as `row`, is written as `source_row`, so that neither is lost.

    Parameters
    ----------
    names : sequence of str
        The columns of the source.
    ours : collection of str
        The columns that are ours.
    """
    taken = {*ours, *names}
    written = dict[str, str]()
    for name in names:
        new = name
        while name in ours and new in taken:
            new = SOURCE + new
        taken.add(new)
        written[name] = new
    return written


@contextmanager
def writing(out: str | Path, force: bool, schema: pa.Schema) -> Iterator[Any]:
    """Lend a writer, whose `write_table` takes Arrow tables of the schema.

    The file is there only when all of them are written.

    Parameters
    ----------
    out : str or Path
        The file to write: .csv, .parquet or .jsonl.
    force : bool
        Whether to replace a file that is there.
    schema : pyarrow.Schema
        The columns and their types.

    Raises
    ------
    UserError
        The ending is another, the file is there, it can't be written, or CSV can't hold a column.
    """
    path = Path(out)
    check_new_table(path, force)
    for field in schema:
        nested = pa.types.is_nested(field.type) and path.suffix.lower() == ".csv"
        if nested or pa.types.is_interval(field.type):
            what = "lists" if nested else "intervals"
            rule = (
                f"it can't hold the {what} of column {field.name!r}; write .parquet or .jsonl, or leave the column out"
            )
            raise UserError(rule, setting="out", value=str(out))
    with written_file(path, force) as temporary:
        writer = FORMATS[path.suffix.lower()](temporary, schema)
        try:
            yield writer
        finally:
            writer.close()


def write_frame(frame: pd.DataFrame, out: str | Path, force: bool) -> None:
    """Write a frame into one file, whole or not at all.

    Parameters and UserError are those of `writing`.
    """
    columns = {str(name): to_arrow(frame[name]) for name in frame.columns}
    ending = Path(out).suffix.lower()
    table = pa.table({name: in_type(c, written_type(c.type, ending), name) for name, c in columns.items()})
    with writing(out, force, table.schema) as writer:
        writer.write_table(table)


def _csv_cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return column
    cells = [None if cell is None else in_csv(cell) for cell in column.to_pylist()]
    return pa.chunked_array([pa.array(cells, column.type)])


def _json_values(column: pa.ChunkedArray) -> list[Any]:
    """Return the cells of a column as json writes them; of float32 no more digits than tell it apart."""
    if pa.types.is_float32(column.type):
        return [_finite(float(str(v))) for v in column.to_numpy().astype(np.float32)]
    return [_finite(cell) for cell in column.to_pylist()]


def _finite(cell: Any) -> Any:
    """Return a cell with None for each number, in lists and structs too, that JSON has no word for."""
    if isinstance(cell, dict):
        return {name: _finite(value) for name, value in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_finite(value) for value in cell]
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _json_text(cell: Any) -> str:
    return str(cell.isoformat() if hasattr(cell, "isoformat") else cell)
