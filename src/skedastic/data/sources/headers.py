"""The names of a file's columns, from its head or its footer: neither torch nor pandas is imported."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from skedastic.data.sources.csv_dialect import read_dialect
from skedastic.data.sources.json_rows import json_rows
from skedastic.data.sources.names import readable
from skedastic.errors import UserError

HIDDEN = re.compile(r"__index_level_\d+__")  # the name that pandas saves an index by
SMALL = 4 * 2**20  # bytes of a JSON file, whose columns are known only once all of it was read
USUAL_TARGETS = ("label", "labels", "target", "class", "cls", "y")


def column_names(path: Path) -> list[str] | None:
    """Return the names of a table's columns; None where only reading all of it would tell.

    Raises UserError where the file can't be read as what its ending says.
    """
    read = _HEADERS.get(path.suffix.lower())
    names = None if read is None else read(path)
    return None if names is None else [n for n in map(str.strip, names) if n and not HIDDEN.fullmatch(n)]


def named_twice(file: str, column: str) -> UserError:
    """Return the error for a table two of whose columns have one name."""
    return UserError(f"column name {column!r} occurs twice; rename one", setting=file, value=column, given=file)


def check_header(file: str, names: Sequence[str]) -> None:
    """Raise UserError where two columns of a file have one name, or none has any; "" is none."""
    twice = [n for n, count in Counter(names).items() if n and count > 1]
    if twice:
        raise named_twice(file, twice[0])
    if not any(names):
        raise UserError("the first line must name the columns", setting=file)


def no_target(file: str, names: Sequence[str]) -> UserError:
    """Return the error for a table of which nobody said where its labels are."""
    usual = [n for n in names if n.lower() in USUAL_TARGETS]
    near = f"; is it {usual[0]!r}?" if len(usual) == 1 else ""
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    rule = f"which column holds the labels? name it with --target (columns: {listed}){near}"
    return UserError(rule, setting="target", given=file)


def _of_csv(path: Path) -> list[str]:
    names = read_dialect(path).names
    check_header(str(path), names)
    return list(names)


def _of_parquet(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with readable(path, pa.ArrowException):
        names: list[str] = pq.read_schema(path).names
    return names


def _of_json(path: Path) -> list[str] | None:
    """Return the keys of all rows; None of a large file, and of one that only its reader can tell something about."""
    if path.stat().st_size > SMALL:
        return None
    try:
        return list(dict.fromkeys(name for row in json_rows(path) for name in row.cells))
    except UserError:
        return None


_HEADERS: Mapping[str, Callable[[Path], list[str] | None]] = {
    ".csv": _of_csv,
    ".tsv": _of_csv,
    ".parquet": _of_parquet,
    ".jsonl": _of_json,
    ".ndjson": _of_json,
    ".json": _of_json,
}
