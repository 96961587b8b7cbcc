"""The dialect of a CSV file, from its head: the encoding, what stands between cells, and the names of the columns.

A separator is taken because records of the head agree on it, outside quotes: not because the first line holds many.
Neither torch nor pandas is imported.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skedastic.data.sources.csv_head import Head, best_reading, doubled
from skedastic.data.sources.names import readable
from skedastic.data.sources.text_encoding import NOT_TEXT, SHOWN, UTF_8, encoding_of_head
from skedastic.errors import UserError

HEAD = 2**18  # bytes that are read first; more where they hold no two records
MOST_HEAD = 2**26
LONGEST_CELL = 2**31 - 1


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
    escapes : bool
        Whether a quote within quotes is written \\", as Spark does, and not "".
    """

    encoding: str
    separator: str
    names: tuple[str, ...]
    line: int
    skipped: int
    ends: bool = False
    spaced: bool = False
    usual: str = ","
    escapes: bool = False

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
        parts += ['with \\" for a quote within quotes'] if self.escapes else []
        return f"read as CSV {', '.join(parts)}" if parts else ""

    def records(self, lines: Iterable[str], *, strict: bool = False) -> Iterator[list[str]]:
        """Yield the cells of each record of some lines; none of a blank line.

        Parameters
        ----------
        lines : iterable of str
            The lines.
        strict : bool, optional
            Whether to raise csv.Error where a quote is not right.
        """
        plain = map(doubled, lines) if self.escapes else lines
        return csv.reader(plain, delimiter=self.separator, skipinitialspace=self.spaced, strict=strict)

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
    size, best = HEAD, None
    with readable(path), cells_of_any_length():
        while best is None:
            head, encoding = _head(path, size)
            best = best_reading(head)
            size *= 8
            if best is None and (head.whole or size > MOST_HEAD):
                raise open_header(path, 1) if head.text.strip() else UserError("it is empty", setting=str(path))
    names = tuple(re.sub(r"\s*[\r\n]+\s*", " ", name).strip() for name in best.names)
    return Dialect(
        encoding, best.separator, names, best.line, best.skipped, ends=best.ends, spaced=best.spaced, usual=head.usual
    )


def open_header(path: Path, line: int) -> UserError:
    """Return the error for a file whose names of columns, which begin in a line, do not end."""
    rule = "a quote in the names of the columns is not closed before the end of the file; close it"
    return UserError(rule, setting=f"{path}, line {line}")


def _head(path: Path, size: int) -> tuple[Head, str]:
    """Return the text of the first bytes of a file, and its encoding."""
    with path.open("rb") as file:
        data = file.read(size + 1)
    encoding = encoding_of_head(data, path)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)  # without a last character that is cut
    except UnicodeDecodeError:
        raise UserError(NOT_TEXT, setting=str(path)) from None
    return Head(text, len(data) <= size, "\t" if path.suffix.lower() == ".tsv" else ","), encoding
