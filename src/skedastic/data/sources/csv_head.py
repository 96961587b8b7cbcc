"""The head of a CSV file read with one separator or another, and which of them its records agree on.

Neither torch nor pandas is imported.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

SEPARATORS = ("\t", ";", "|", ",")  # the first is rarest in names and in text
MOST_RECORDS = 1000  # that are looked at
ESCAPED = re.compile(r'(\\+)"')
EXCEL = re.compile(r'"?sep=([^"\r\n])"?\r?\n?', re.IGNORECASE)  # the first line, as Excel writes it


@dataclass(frozen=True)
class Head:
    """The first text of a file.

    Parameters
    ----------
    text : str
        The text.
    whole : bool
        Whether this is all of the file.
    usual : str
        The separator that the ending of the file's name promises.
    """

    text: str
    whole: bool
    usual: str

    @property
    def said(self) -> str:
        """The separator that the first line says; "" where it says none."""
        match = EXCEL.fullmatch(io.StringIO(self.text, newline="").readline())
        return match[1] if match is not None and match[1].isascii() else ""

    def records(self, separator: str, *, spaced: bool = False, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Yield the line that each record ends in, and its cells, none for a blank line; without the line "sep=;"."""
        above = 1 if self.said else 0
        lines = islice(io.StringIO(self.text, newline=""), above, None)
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=spaced, strict=strict)
        for cells in reader:
            yield above + reader.line_num, cells


@dataclass(frozen=True)
class Split:
    """The head as it is with one separator.

    Parameters
    ----------
    separator : str
        What stands between cells.
    spaced : bool
        Whether spaces between a separator and a quote are no part of the cell.
    names : tuple of str
        The name of each cell of a row; "" where it has none.
    rows : list of list of str
        The first rows.
    fits : bool
        Whether there are names for the cells of most rows, and more than one.
    line, skipped : int
        The line that the names begin in, and the one that they end in.
    ends : bool
        Whether the file ends with the names.
    is_clean : bool
        Whether each quote that opens a cell closes it.
    splits_prose : bool
        Whether names have spaces before them that the rows' cells have not, as the words of one name have.
    """

    separator: str
    spaced: bool
    names: tuple[str, ...]
    rows: list[list[str]]
    fits: bool
    line: int
    skipped: int
    ends: bool
    is_clean: bool
    splits_prose: bool

    @property
    def agreement(self) -> float:
        """The part of the rows that have a cell for each name."""
        return sum(len(r) == len(self.names) for r in self.rows) / len(self.rows) if self.rows else 1.0

    def merit(self, usual: str) -> tuple[float, ...]:
        """Return what this reading has for it, the first first."""
        place = SEPARATORS.index(self.separator) if self.separator in SEPARATORS else 0
        if not self.fits:
            return (0, len(self.names), self.separator == usual)
        named_so = self.separator == usual == "\t"
        return (1, named_so, self.agreement, self.is_clean, not self.splits_prose, len(self.names), -place)


def best_reading(head: Head) -> Split | None:
    """Return the reading in which most records agree; None where the head is too short for one.

    Where its quotes are not right, and are with those doubled that a backslash escapes, it is the reading of these.
    """
    best = _best(head)
    if best is not None and not best.is_clean and '\\"' in head.text:
        other = _best(replace(head, text=doubled(head.text)))
        return other if other is not None and other.is_clean else best
    return best


def doubled(text: str) -> str:
    """Return text of a CSV file with each quote that a backslash escapes doubled instead.

    Two backslashes before a quote are one, as Spark writes it; others stay as they are.
    """
    return ESCAPED.sub(lambda found: "\\" * (len(found[1]) // 2) + '"' * (1 + len(found[1]) % 2), text)


def _best(head: Head) -> Split | None:
    candidates = head.said or [s for s in SEPARATORS if s in head.text or s == head.usual]
    readings = [reading for s in candidates if (reading := _read(head, s)) is not None]
    return max(readings, key=lambda reading: reading.merit(head.usual), default=None)


def _read(head: Head, separator: str) -> Split | None:
    """Return the head with a separator, and without spaces before quotes where cells have them."""
    plain = _read_as(head, separator, spaced=False)
    if plain is None or re.search(rf"{re.escape(separator)} +\"", head.text) is None:
        return plain
    spaced = any(c[:1] == " " and c.lstrip(" ")[:1] == '"' for row in (plain.names, *plain.rows) for c in row)
    return _read_as(head, separator, spaced=True) if spaced else plain


def _read_as(head: Head, separator: str, *, spaced: bool) -> Split | None:
    """Return the head with a separator; None where it may end within the names or the first row."""
    records: list[tuple[int, list[str]]] = []
    before = 1 if head.said else 0  # the line before the names
    ends = head.whole
    for line, cells in head.records(separator, spaced=spaced):
        ends = ends and not (records and cells)
        if len(cells) < 2 and not "".join(cells).strip():
            before = before if records else line
            continue
        records.append((line, cells))
        if len(records) > MOST_RECORDS:
            break
    else:
        if not head.whole:
            del records[-1:]  # which may be cut
    if not records or (len(records) == 1 and not head.whole):
        return None
    header, rows = records[0][1], [cells for _, cells in records[1:]]
    names = _names(header, rows)
    return Split(
        separator=separator,
        spaced=spaced,
        names=tuple(header if names is None else names),
        rows=rows,
        fits=names is not None and len(names) > 1,
        line=before + 1,
        skipped=records[0][0],
        ends=ends,
        is_clean='"' not in head.text or _is_clean(head, separator, spaced, records[-1][0]),
        splits_prose=any(n[:1] == " " for n in header) and not any(c[:1] == " " for row in rows for c in row),
    )


def _is_clean(head: Head, separator: str, spaced: bool, last: int) -> bool:
    """Tell whether quotes are right up to the record that ends in line `last`."""
    try:
        return any(line >= last for line, _ in head.records(separator, spaced=spaced, strict=True))
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
        return [*header, *[""] * beyond]  # a separator at the end of each row
    if beyond == 1 and len({row[0] for row in full}) == len(full):
        return ["", *header]  # as R writes the names of rows
    return None
