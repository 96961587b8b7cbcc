"""The rows of a JSON file: the objects of one list, or objects one after the other, as JSON lines are.

Read a part at a time, so that memory does not grow with the file. Neither torch nor pandas is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, NoReturn, TextIO

from skedastic.data.sources.names import readable
from skedastic.data.sources.text_encoding import not_utf_8
from skedastic.errors import UserError

PART = 2**20  # characters that are read at a time
CUT = 16  # characters before the end of a part, where an error may come from the cut
SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class JsonRow:
    """A row: its cells by key, and the line that it begins in."""

    cells: dict[str, Any]
    line: int


def is_list(path: Path) -> bool:
    """Tell whether a file holds one list, rather than objects one after the other."""
    with _opened(path) as file, readable(path, UnicodeError):
        return _Text(file, path).next() == "["


def json_rows(path: Path) -> Iterator[JsonRow]:
    """Yield the rows of a file. NaN is a missing cell, as null is.

    Raises
    ------
    UserError
        The file is not JSON, or something in it is no object; with its line, or in a list its row, counted from 0.
    """
    with _opened(path) as file:
        text = _Text(file, path)
        try:
            as_list = text.next() == "["
            rows = text.entries() if as_list else text.objects()
            first = list(islice(rows, 2))
            if len(first) == 1 and not as_list:
                _check_only(path, first[0].cells)
            yield from first
            yield from rows
        except UnicodeDecodeError:
            raise not_utf_8(path) from None


def json_line_of(path: Path, row: int) -> int:
    """Return the line in which a row (0, 1, …) begins. The file is read up to there."""
    found = next(islice(json_rows(path), row, None), None)
    return row + 1 if found is None else found.line


def _check_only(path: Path, row: dict[str, Any]) -> None:
    """Raise UserError where the only object of a file is rather a table than a row."""
    for key, value in row.items():
        if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            rule = f"it is one object, whose key {key!r} holds a list of objects; save that list alone"
            raise UserError(rule, setting=str(path), value=key, given=str(path))
    if len(row) > 1 and any(all(isinstance(v, kind) for v in row.values()) for kind in (dict, list)):
        rule = "it is one object that holds columns; save a list of objects, one for each row (orient='records')"
        raise UserError(rule, setting=str(path))


def _opened(path: Path) -> TextIO:
    with readable(path):
        with path.open("rb") as file:
            encoding = json.detect_encoding(file.read(4))
        return path.open(encoding=encoding)


class _TwiceError(Exception):
    """A key occurs twice in an object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in row if keys.count(key) > 1))
    return row


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


class _Text:
    """A JSON text that is read as it is needed.

    Parameters
    ----------
    file : TextIO
        The text.
    path : Path
        Its file, for errors.
    """

    def __init__(self, file: TextIO, path: Path) -> None:
        self.file, self.path = file, path
        self.text, self.at = "", 0
        self.line, self.column = 1, 1  # of the character at `self.at`
        self.decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant).raw_decode

    def objects(self) -> Iterator[JsonRow]:
        """Yield objects that stand one after the other."""
        while self.next():
            yield self.object(None)

    def entries(self) -> Iterator[JsonRow]:
        """Yield the objects of a list."""
        self.advance(self.at + 1)
        if self.next() != "]":
            for row in count():
                yield self.object(row)
                mark = self.next()
                if mark == "]":
                    break
                if mark != ",":
                    self.broken("Expecting ',' or ']'")
                self.advance(self.at + 1)
        self.advance(self.at + 1)
        if self.next():
            self.broken("Something follows the list")

    def next(self) -> str:
        """Go to the next character that is not space, and return it; "" at the end."""
        while True:
            match = SPACE.match(self.text, self.at)
            assert match is not None
            self.advance(match.end())
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def object(self, row: int | None) -> JsonRow:
        """Return the object that comes next. Raises UserError where there is none; `row` is its place in a list."""
        is_object, line = self.next() == "{", self.line
        place = f"{self.path}, line {line}" if row is None else f"{self.path}, row {row}"
        value = self.value(place)
        if not is_object:
            rule = 'must be an object, one for each row, such as {"width": 1.5}'
            raise UserError(rule, setting=place, value=json.dumps(value, ensure_ascii=False)[:40])
        return JsonRow(value, line)

    def value(self, place: str) -> Any:
        """Return the value that begins here, and go behind it. Raises UserError where there is none."""
        while True:
            try:
                value, end = self.decode(self.text, self.at)
                self.advance(end)
                return value
            except json.JSONDecodeError as error:
                may_be_cut = error.msg.startswith("Unterminated string") or error.pos > len(self.text) - CUT
                if may_be_cut and self.more():
                    continue
                self.advance(min(error.pos, len(self.text)))
                self.broken(error.msg)
            except _TwiceError as error:
                key = error.args[0]
                rule = f"the key {key!r} occurs twice in one object; rename one"
                raise UserError(rule, setting=place, value=key, given=place) from None
            except RecursionError:
                raise UserError("its lists or objects are nested too deeply", setting=place) from None
            except ValueError:  # Python reads no more digits
                rule = "it holds an integer of thousands of digits; write it as text, in quotes"
                raise UserError(rule, setting=place) from None

    def more(self) -> bool:
        """Read the next part, and forget what lies behind; return False at the end."""
        part = self.file.read(max(PART, len(self.text) - self.at))
        self.text, self.at = self.text[self.at :] + part, 0
        return bool(part)

    def advance(self, to: int) -> None:
        """Go to a position of the text."""
        breaks = self.text.count("\n", self.at, to)
        self.line += breaks
        self.column = to - self.text.rfind("\n", self.at, to) if breaks else self.column + to - self.at
        self.at = to

    def broken(self, what: str) -> NoReturn:
        """Raise UserError about what stands here."""
        rule = f"it can't be read as JSON: column {self.column}: {what[:1].lower()}{what[1:]}"
        raise UserError(rule, setting=f"{self.path}, line {self.line}")
