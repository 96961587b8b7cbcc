"""Tables on disk: CSV, TSV and Parquet, read with the cells as they are written."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from skedastic.data.columns import Place, column_place
from skedastic.errors import UserError, unknown


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of a file, n rows. lines: errors name cells by line, as in a text file, instead of by row."""

    file: str
    frame: pd.DataFrame
    lines: bool = False
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of Hugging Face ClassLabel columns
    image_column: str | None = None  # not in the frame
    unread: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Return the names of the columns, read or not."""
        return (*map(str, self.frame.columns), *self.unread)

    def column(self, name: str, role: str) -> tuple[pd.Series, Place]:
        """Return a column and how errors call it. Raises UserError, with the nearest name, where there is none."""
        if name not in self.frame.columns:
            columns = [c for c in self.all_columns if c != self.image_column]
            raise UserError(f"{self.file}: {unknown(role, name, columns)}")
        return self.frame[name], column_place(self.file, name, self.lines)


def read_csv(path: Path) -> Table:
    """Read a comma- or tab-separated file (also ; and |) with a header; every cell is text.

    Raises UserError where it is not a table: binary, ragged, empty, or without distinct column names.
    """
    with readable(path):
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                first = lines.readline()
            separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=first.count)
            header = next(csv.reader([first], delimiter=separator), [])
            _check_header(header, path)
            cells = arrow_csv.read_csv(
                path,
                parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
            )
        except UnicodeDecodeError:
            raise UserError(f"{path} is not a text file in UTF-8; save it as CSV in UTF-8") from None
    if cells.column_names != header:
        raise UserError(f"{path}: the names of the columns must stand in the first line, and nothing else")
    frame = _filled(cells.to_pandas(), path).rename(columns=str.strip)
    if "" not in frame.columns:
        return Table(path.name, frame, lines=True)
    return Table(path.name, frame.drop(columns=""), lines=True, remarks=("left out: the column without a name",))


def read_parquet(path: Path, ignore: Collection[str] = (), only: Collection[str] = ()) -> Table:
    """Read the columns of a Parquet file but for `ignore`.

    Where there is a column of images (bytes, as Hugging Face datasets keep them), it is named and not read, and of the
    others those in `only` are. Raises UserError where the file is not Parquet or has several columns of images.
    """
    with readable(path):
        schema = pq.read_schema(path)
        features = _hugging_face(schema)
        names = [n for n in schema.names if n not in ignore and not re.fullmatch(r"__index_level_\d+__", n)]
        images = [name for name in names if _holds_images(schema.field(name), features.get(name, {}))]
        if len(images) > 1:
            raise UserError(f"{path}: more than one column of images ({', '.join(images)}); --ignore all but one")
        if images:
            names = [name for name in names if name in only and name not in images]
        frame = pq.read_table(path, columns=names).to_pandas(ignore_metadata=True)
    unread = tuple(name for name in schema.names if name not in names)
    label_names = {name: tuple(f["names"]) for name, f in features.items() if f.get("_type") == "ClassLabel"}
    return Table(path.name, _filled(frame, path), False, label_names, images[0] if images else None, unread)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one line that `path` can't be read as what its name says. Raises UserError."""
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if path.is_dir():
        raise UserError(f"{path} is a directory; name one file, such as a .csv or .parquet table")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty")
    try:
        yield
    except PermissionError:
        raise UserError(f"{path} may not be read (permission denied)") from None
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{path} can't be read as a {path.suffix[1:]} table: {reason}") from None


def _check_header(header: Sequence[str], path: Path) -> None:
    twice = [name for name, count in Counter(map(str.strip, header)).items() if count > 1]
    if twice:
        raise UserError(f"{path}: column name {twice[0]!r} occurs twice in the header; rename one")
    if not header or all(name.strip() == "" for name in header):
        raise UserError(f"{path}: the first line must name the columns")


def _filled(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    if len(frame) == 0:
        raise UserError(f"{path} has no rows")
    return frame


def _hugging_face(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Return the features that a Hugging Face dataset declares of its columns, or nothing."""
    try:
        declared = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {name: f for name, f in declared.items() if isinstance(f, dict)} if isinstance(declared, dict) else {}


def _holds_images(column: pa.Field, feature: Mapping[str, Any]) -> bool:
    is_struct = pa.types.is_struct(column.type) and {"bytes", "path"} <= {f.name for f in column.type}
    return feature.get("_type") == "Image" or is_struct
