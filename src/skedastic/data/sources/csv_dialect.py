"""The dialect of a CSV file, from its head: the encoding, what stands between cells, and the names of the columns.

A separator is taken because records of the head agree on it, outside quotes: not because the first line holds many.
Neither torch nor pandas is imported.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from skedastic.data.sources.names import readable
from skedastic.data.sources.text_encoding import NOT_TEXT, SHOWN, UTF_8, encoding_of_head
from skedastic.errors import UserError

SEPARATORS = ("\t", ";", "|", ",")  # the first is rarest in names and in text
HEAD = 2**18  # bytes that are read first; more where they hold no two records
MOST_HEAD = 2**26
MOST_RECORDS = 1000  # that are looked at
LONGEST_CELL = 2**31 - 1
EXCEL = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)  # the first line, as Excel writes it


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Parameters
    ----------
    encoding : str
        Its codec.
    separator : str
        What stands between cells.
    names : tuple of str
        The name of each cell of a row, stripped; "" for a column without one.
    line : int
        The line that the names begin in.
    skipped : int
        The number of lines before the first row.
    ends : bool
        Whether the file ends with the names.
    spaced : bool
        Whether spaces between a separator and a quote are no part of the cell.
    usual : str
        The separator that the ending of the file's name promises.
    """

    encoding: str
    separator: str
    names: tuple[str, ...]
    line: int
    skipped: int
    ends: bool = False
    spaced: bool = False
    usual: str = ","

    @property
    def kept(self) -> list[str]:
        """The names of the columns that have one."""
        return [name for name in self.names if name]

    @property
    def note(self) -> str:
        """What is not plain about the file, for the user; "" where all is."""
        shown = "tabs" if self.separator == "\t" else f'"{self.separator}"'
        parts = [f"with {shown} between cells"] if self.separator != self.usual else []
        parts += [f"in {SHOWN[self.encoding]}"] if self.encoding != UTF_8 else []
        parts += [f"with the names of the columns in line {self.line}"] if self.line > 1 else []
        parts += ["without the spaces before quotes"] if self.spaced else []
        return f"read as CSV {', '.join(parts)}" if parts else ""

    def reader(self, lines: Iterator[str]) -> csv.Reader:
        """Return Python's reader of these lines."""
        return csv.reader(lines, delimiter=self.separator, skipinitialspace=self.spaced)

    def is_blank(self, text: str, cells: int) -> bool:
        """Tell whether a record, as it is written, is a blank line; of one column only an empty line is."""
        return cells == 0 or (cells == 1 < len(self.names) and not text.strip())


@contextmanager
def cells_of_any_length() -> Iterator[None]:
    """Let Python's csv read cells of any length."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_dialect(path: Path) -> Dialect:
    """Return the dialect of a file as its head tells.

    Raises
    ------
    UserError
        The file is no text, or its first records don't end.
    """
    with readable(path), cells_of_any_length():
        head, encoding, whole = _head(path, HEAD)
        size = HEAD
        while (best := _best(head, path, whole)) is None:
            size *= 8
            if whole or size > MOST_HEAD:
                raise open_header(path, 1) if head.strip() else UserError("it is empty", setting=str(path))
            head, encoding, whole = _head(path, size)
    names = best.names or best.header
    usual = _usual(path)
    return Dialect(encoding, best.separator, names, best.line, best.skipped, best.ends, best.spaced, usual)


def open_header(path: Path, line: int) -> UserError:
    """Return the error for a file whose names of columns, which begin in a line, do not end."""
    rule = "a quote in the names of the columns is not closed before the end of the file; close it"
    return UserError(rule, setting=f"{path}, line {line}")


def _usual(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _head(path: Path, size: int) -> tuple[str, str, bool]:
    """Return the text of the first bytes of a file, its encoding, and whether this is all of it."""
    with path.open("rb") as file:
        data = file.read(size + 1)
    whole = len(data) <= size
    encoding = encoding_of_head(data, path)
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data), encoding, whole  # the last character may be cut
    except UnicodeDecodeError:
        raise UserError(NOT_TEXT, setting=str(path)) from None


@dataclass(frozen=True)
class _Reading:
    """The records of the head with one separator, and whether they agree."""

    separator: str
    spaced: bool
    header: tuple[str, ...]
    names: tuple[str, ...] | None  # None where header and rows don't go together
    rows: list[list[str]]
    line: int
    skipped: int
    ends: bool
    clean: bool  # whether each quote that opens a cell closes it

    @property
    def fits(self) -> bool:
        return self.names is not None and len(self.names) > 1

    @property
    def agreement(self) -> float:
        """The part of the rows that have a cell for each name."""
        names = self.names or self.header
        return sum(len(r) == len(names) for r in self.rows) / len(self.rows) if self.rows else 1.0

    @property
    def splits_prose(self) -> bool:
        """Whether the separator is rather punctuation of a name, as in "weight, dry"."""
        return any(n[:1] == " " for n in self.header) and not any(c[:1] == " " for row in self.rows for c in row)


def _best(head: str, path: Path, whole: bool) -> _Reading | None:
    """Return the reading of the head in which most records agree; None where the head is too short for one."""
    lines = io.StringIO(head, newline="")
    said = EXCEL.fullmatch(lines.readline())
    above = 0 if said is None else 1
    usual = _usual(path)
    if said is not None and said[1].isascii() and said[1] not in '"\r\n':
        candidates = [said[1]]
    else:
        above = 0
        candidates = [s for s in SEPARATORS if s in head or s == usual]
    readings = [r for s in candidates if (r := _read(head, s, above, whole)) is not None]
    if not readings:
        return None

    def merit(reading: _Reading) -> tuple[bool, bool, float, bool, bool, int, bool, int]:
        expected = reading.separator == usual == "\t"
        width = len(reading.names or reading.header)
        place = SEPARATORS.index(reading.separator) if reading.separator in SEPARATORS else 0
        fits = reading.fits
        return (
            fits,
            fits and expected,
            reading.agreement if fits else 0.0,
            reading.clean,
            not reading.splits_prose,
            width,
            not fits and reading.separator == usual,
            -place,
        )

    return max(readings, key=merit)


def _read(head: str, separator: str, above: int, whole: bool) -> _Reading | None:
    plain = _records(head, separator, False, above, whole)
    if plain is None or re.search(rf"{re.escape(separator)} +\"", head) is None:
        return plain
    if not any(c[:1] == " " and c.lstrip(" ")[:1] == '"' for cells in (plain.header, *plain.rows) for c in cells):
        return plain
    return _records(head, separator, True, above, whole)


def _records(head: str, separator: str, spaced: bool, above: int, whole: bool) -> _Reading | None:
    """Return the header and the first rows; None where the head may end within the header or the first row."""
    lines = io.StringIO(head, newline="")
    for _ in range(above):
        lines.readline()
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=spaced)
    records: list[tuple[int, list[str]]] = []  # the line that each ends in, and its cells
    line = skipped = 0
    ends = whole
    for cells in reader:
        ends = ends and not (records and cells)
        if not "".join(cells).strip() and len(cells) < 2:
            line = line if records else reader.line_num
            continue
        records.append((reader.line_num, cells))
        if len(records) == 1:
            skipped = reader.line_num
        if len(records) > MOST_RECORDS:
            break
    else:
        if not whole:  # the last may be cut
            records = records[:-1]
    if not records or (len(records) == 1 and not whole):
        return None
    header = tuple(records[0][1])
    rows = [cells for _, cells in records[1:]]
    names = _names(header, rows)
    return _Reading(
        separator,
        spaced,
        tuple(map(_as_name, header)) if names is None else header,
        None if names is None else tuple(map(_as_name, names)),
        rows,
        line + above + 1,
        skipped + above,
        ends,
        '"' not in head or _is_clean(head, separator, spaced, above, records[-1][0]),
    )


def _is_clean(head: str, separator: str, spaced: bool, above: int, lines: int) -> bool:
    part = islice(io.StringIO(head, newline=""), above, above + lines)
    try:
        return all(True for _ in csv.reader(part, delimiter=separator, skipinitialspace=spaced, strict=True))
    except csv.Error:
        return False


def _names(header: Sequence[str], rows: Sequence[list[str]]) -> Sequence[str] | None:
    """Return a name for each cell of a row, "" where it has none; None where header and rows don't go together."""
    if not rows:
        return header
    width = Counter(map(len, rows)).most_common(1)[0][0]
    beyond = width - len(header)
    if beyond <= 0:
        return None if "".join(header[width:]).strip() else header[:width]
    full = [row for row in rows if len(row) == width]
    if len(header) < 2:
        return None
    if not any("".join(row[len(header) :]).strip() for row in full):
        return (*header, *[""] * beyond)  # a separator at the end of each row
    if beyond == 1 and len({row[0] for row in full}) == len(full):
        return ("", *header)  # as R writes the names of rows
    return None


def _as_name(cell: str) -> str:
    return re.sub(r"\s*[\r\n]+\s*", " ", cell).strip()
