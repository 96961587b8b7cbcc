"""CSV files as tables, one or several, with the cells as they are written."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from threading import Event
from typing import Any
from weakref import finalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from skedastic.data.sources.csv_dialect import Dialect, cells_of_any_length, open_header, read_dialect
from skedastic.data.sources.csv_head import doubled
from skedastic.data.sources.csv_rows import check_rows, line_of, longest_row, whole_rows
from skedastic.data.sources.gathered import check_same, gathered, rows_of_files
from skedastic.data.sources.headers import check_header
from skedastic.data.sources.names import readable
from skedastic.data.sources.text_encoding import NOT_TEXT, UTF_8, WINDOWS, encoding_of_file
from skedastic.data.tables.table import Table
from skedastic.data.tables.unpacked import check_cells
from skedastic.errors import UserError

AT_A_TIME = 20_000  # rows, where Python reads them
LONGEST_WAIT = 1.0  # seconds, until pyarrow lets go of a function
RowHandler = Callable[[Any], str]  # of what pyarrow tells of a row of another length
BLOCK = 2**20  # bytes that pyarrow reads at a time
PART = 2**18  # bytes whose quotes are looked at together


def read_csv(paths: Sequence[Path], name: str) -> Table:
    """Read comma-separated files (or tabs, ; and |) with a header; every cell is text.

    Raises UserError for what is no text, for a row of another length, and for a quote that is not closed.
    """
    dialects = [_checked(path, read_dialect(path)) for path in paths]
    for path, dialect in zip(paths[1:], dialects[1:], strict=True):
        check_same(dialects[0].kept, dialect.kept, path)
    filled: set[int] = set()  # columns without a name that hold cells
    tables = [partial(_tables, path, dialect, filled) for path, dialect in zip(paths, dialects, strict=True)]
    empty = pa.table({n: pa.array([], pa.string()) for n in dialects[0].kept})
    reader, rows = gathered(tables, sum(path.stat().st_size for path in paths), empty)
    nameless = {i for dialect in dialects for i, n in enumerate(dialect.names) if not n}
    separators = {dialect.separator for dialect in dialects}
    return Table(
        name,
        reader,
        lines=lambda column, file, row: line_of(paths[file], dialects[file], column, row),
        notes=(*_dialect_notes(paths, dialects), *_left_out(len(filled), len(nameless - filled))),
        files=rows_of_files(paths, rows),
        separator=separators.pop() if len(separators) == 1 else "",
    )


def _dialect_notes(paths: Sequence[Path], dialects: Sequence[Dialect]) -> tuple[str, ...]:
    notes = [dialect.note for dialect in dialects]
    if len(set(notes)) == 1:
        return (notes[0],) if notes[0] else ()
    return tuple(f"{path.name}: {note}" for path, note in zip(paths, notes, strict=True) if note)


def _left_out(filled: int, empty: int) -> tuple[str, ...]:
    notes = []
    if filled:
        notes.append(f"left out: {'the column' if filled == 1 else f'{filled} columns'} without a name")
    if empty:
        notes.append(f"left out: {'an empty column' if empty == 1 else f'{empty} empty columns'} without a name")
    return tuple(notes)


def _ends_in_quotes(path: Path, dialect: Dialect) -> bool:
    """Tell whether a file that ends with its names ends within a cell in quotes, or with one of several lines."""
    with cells_of_any_length(), path.open(encoding=dialect.encoding, newline="") as file:
        try:
            deque(dialect.records(file, strict=True), maxlen=0)
        except csv.Error as error:
            return "end of data" in str(error) or dialect.skipped > dialect.line
    return False


def _checked(path: Path, dialect: Dialect) -> Dialect:
    """Return the dialect with the encoding of the whole file, and how it writes quotes within quotes.

    Raises UserError for names that can't be used, and where a quote is left open: pyarrow would read one long cell.
    """
    check_header(str(path), dialect.names)
    if dialect.encoding in (UTF_8, WINDOWS):
        dialect = replace(dialect, encoding=encoding_of_file(path))
    try:
        if dialect.spaced or _cleanly_quoted(_encoded(path, dialect.encoding), dialect.separator):
            return dialect
        if _cleanly_quoted(_doubled(_encoded(path, dialect.encoding)), dialect.separator):
            return replace(dialect, escapes=True)
        check_rows(path, dialect)
        if dialect.ends and _ends_in_quotes(path, dialect):
            raise open_header(path, dialect.line)
    except UnicodeDecodeError:
        raise UserError(NOT_TEXT, setting=str(path)) from None
    return dialect


def _encoded(path: Path, encoding: str) -> Iterator[bytes]:
    """Yield a file in an encoding that writes ASCII as ASCII."""
    with readable(path):
        if encoding in (UTF_8, WINDOWS):
            with path.open("rb") as file:
                yield from iter(lambda: file.read(PART), b"")
        else:
            with path.open(encoding=encoding, newline="") as text:
                yield from (part.encode("utf-8", "replace") for part in iter(lambda: text.read(PART), ""))


def _doubled(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text of a CSV file with each quote that a backslash escapes doubled instead."""
    held = ""
    for block in blocks:
        text = held + block.decode("latin-1")  # byte by byte
        held = text[len(text.rstrip("\\")) :]
        yield doubled(text[: len(text) - len(held)]).encode("latin-1")
    yield held.encode("latin-1")


def _cleanly_quoted(blocks: Iterable[bytes], separator: str) -> bool:
    """Tell whether each quote opens or closes a cell, or is one of two within it, up to the end of the file."""
    quote = ord('"')
    outside = np.zeros(256, dtype=bool)  # what may stand before a quote that opens and after one that closes
    outside[[*b'\r\n"', ord(separator)]] = True
    is_open, seen = False, b"\n"
    for number, block in enumerate(chain(blocks, [b"\n"])):
        data = np.frombuffer(seen + (block.removeprefix(b"\xef\xbb\xbf") if number == 0 else block), np.uint8)
        seen = data[-2:].tobytes()
        if quote not in block and quote not in data[:2]:
            continue
        at = np.flatnonzero(data[1:-1] == quote)
        opens, closes = at[is_open::2], at[not is_open :: 2] + 2
        if not (outside[data[opens]].all() and outside[data[closes]].all()):
            return False
        is_open ^= len(at) % 2 == 1
    return not is_open


def _tables(path: Path, dialect: Dialect, filled: set[int]) -> Iterator[pa.Table]:
    """Yield the rows of a file, with the columns that have a name; add the others that hold cells to `filled`."""
    kept = [i for i, n in enumerate(dialect.names) if n]
    beside = [i for i, n in enumerate(dialect.names) if not n]
    for table in _by_python(path, dialect) if dialect.spaced or dialect.escapes else _by_arrow(path, dialect):
        filled.update(i for i in beside if pc.any(pc.not_equal(pc.utf8_trim_whitespace(table[i]), "")).as_py())
        yield table.select(kept).rename_columns(dialect.kept)


def _by_arrow(path: Path, dialect: Dialect) -> Iterator[pa.Table]:
    """Yield the rows of a file. pyarrow holds 32 blocks: small ones, and where a row is longer than one, large ones."""
    if dialect.ends:
        return
    done = 0
    for size in (min(BLOCK, longest_row()), longest_row()):
        passed = 0
        try:
            for table in _by_blocks(path, dialect, size):
                new = table.slice(max(0, done - passed))
                passed += len(table)
                if len(new):
                    done += len(new)
                    yield new
            return
        except UnicodeDecodeError:
            raise UserError(NOT_TEXT, setting=str(path)) from None
        except UserError:
            if size == longest_row():
                check_rows(path, dialect)  # says where, and what is the way out
                raise


def _by_blocks(path: Path, dialect: Dialect, size: int) -> Iterator[pa.Table]:
    columns = [str(i) for i in range(len(dialect.names))]
    encoding = "utf8" if dialect.encoding == UTF_8 else dialect.encoding
    with readable(path, pa.ArrowException), _let_go(_row_handler(dialect)) as handlers:
        reader = arrow_csv.open_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                block_size=size, skip_rows=dialect.skipped, column_names=columns, encoding=encoding
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=dialect.separator,
                newlines_in_values=True,
                invalid_row_handler=handlers.pop(),
            ),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
        )
        try:
            for batch in reader:
                table = pa.Table.from_batches([batch])
                if table.nbytes > longest_row():
                    for column in columns:
                        check_cells(table[column], column)
                yield table
        finally:
            del reader  # which an error would keep


def _row_handler(dialect: Dialect) -> RowHandler:
    return lambda row: "skip" if dialect.is_blank(row.text, row.actual_columns) else "error"


@contextmanager
def _let_go(handler: RowHandler) -> Iterator[list[RowHandler]]:
    """Lend a function of Python's, in a list to take it from, and wait at the end until pyarrow has let go of it.

    A thread of pyarrow does so a little after the last row was read. If the interpreter ended before, that thread could
    not reach it any more, and would abort the process.
    """
    gone = Event()
    finalize(handler, gone.set).atexit = False
    handlers = [handler]
    del handler
    try:
        yield handlers
    finally:
        handlers.clear()
        gone.wait(LONGEST_WAIT)


def _by_python(path: Path, dialect: Dialect) -> Iterator[pa.Table]:
    columns = [str(i) for i in range(len(dialect.names))]
    cells = (row.cells for row in whole_rows(path, dialect))
    while part := list(islice(cells, AT_A_TIME)):
        yield pa.table([pa.array(c, pa.string()) for c in zip(*part, strict=True)], names=columns)
