"""The rows of a JSON file: the objects of one list, or objects one after the other, as JSON lines are.

Read a part at a time, so that memory does not grow with the file. Neither torch nor pandas is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

from skedastic.data.sources.names import readable
from skedastic.data.sources.text_encoding import not_utf_8
from skedastic.errors import UserError
from skedastic.runtime.limits import limits, too_much
from skedastic.runtime.plain_files import check_nesting

PART = 2**20  # characters that are read at a time
CUT = 16  # characters before the end of a part, where an error may come from the cut
SPACE = re.compile(r"[ \t\n\r]*")
COMMA = re.compile(r"[ \t\n\r]*,")
AT_A_TIME = 2000  # lines that are decoded together
FLAT, SHORT = 20, 10_000  # brackets and characters of a row that is not looked at more closely


class JsonRow(NamedTuple):
    """A row: its cells by key, and the line that it begins in; 0 in a list."""

    cells: dict[str, Any]
    line: int


def is_list(path: Path) -> bool:
    """Tell whether a file holds one list, rather than objects one after the other."""
    with _opened(path) as file:
        try:
            return _Text(file, path).next() == "["
        except UnicodeDecodeError:
            raise not_utf_8(path) from None


def json_rows(path: Path) -> Iterator[JsonRow]:
    """Yield the rows of a file. NaN is a missing cell, as null is.

    Raises
    ------
    UserError
        The file is not JSON, or something in it is no object; with its line, or in a list its row, counted from 0.
    """
    as_list = is_list(path)
    with _opened(path) as file:
        try:
            rows = _Text(file, path).entries() if as_list else _objects(file, path)
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


def _objects(file: TextIO, path: Path) -> Iterator[JsonRow]:
    """Yield objects that stand one after the other: each in a line, or over several, as the first one does."""
    first = next((line for line in _each(file, path) if not line.isspace()), "{}")
    file.seek(0)
    yield from _lines(file, path) if _is_json(first) else _Text(file, path).objects()


def _is_json(line: str) -> bool:
    try:
        DECODER.decode(line)
    except _ERRORS:
        return False
    return True


def _lines(file: TextIO, path: Path) -> Iterator[JsonRow]:
    """Yield the objects of JSON lines. Many lines are decoded as one list, and one by one where that fails."""
    done, each = 0, _each(file, path)
    while lines := list(islice(each, AT_A_TIME)):
        try:
            rows = DECODER.decode(f"[{','.join(lines)}]")
            together = len(rows) == len(lines) and set(map(type, rows)) == {dict}
        except _ERRORS:
            together = False
        yield from _together(rows, lines, path, done) if together else _each_line(lines, path, done)
        done += len(lines)


def _each(file: TextIO, path: Path) -> Iterator[str]:
    """Yield the lines of a file. Raises UserError for one that is too long, before all of it is read."""
    most = limits().cell
    for number in count(1):
        line = file.readline(most + 1)
        if len(line) > most:
            raise _too_long(f"{path}, line {number}", most)
        if not line:
            return
        yield line


def _too_long(place: str, most: int) -> UserError:
    return too_much(place, f"it has more than {most:,} characters", "cell", 2 * most)


def _brackets(text: str) -> int:
    return text.count("[") + text.count("{")


def _together(rows: Sequence[dict[str, Any]], lines: Sequence[str], path: Path, done: int) -> Iterator[JsonRow]:
    """Yield the objects of lines, one each; `done` is the number of lines before."""
    if sum(map(_brackets, lines)) - len(lines) <= FLAT:
        yield from map(JsonRow, rows, count(done + 1))
        return
    for number, cells, line in zip(count(done + 1), rows, lines, strict=False):
        _check_depth(cells, line, f"{path}, line {number}")
        yield JsonRow(cells, number)


def _each_line(lines: Sequence[str], path: Path, done: int) -> Iterator[JsonRow]:
    """Yield the objects of lines, without blank lines; `done` is the number of lines before."""
    for number, line in enumerate(lines, done + 1):
        if line.isspace():
            continue
        place = f"{path}, line {number}"
        try:
            cells = DECODER.decode(line)
        except _ERRORS as error:
            raise _error(error, place) from None
        if type(cells) is not dict:
            raise _no_object(cells, place)
        _check_depth(cells, line, place)
        yield JsonRow(cells, number)


def _check_depth(cells: Any, text: str, place: str) -> None:
    """Raise UserError where the lists and objects of a row, which is written as `text`, are nested too deeply."""
    if _brackets(text) > FLAT:
        check_nesting(cells, place)


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


_ERRORS = (ValueError, RecursionError, _TwiceError)
DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)


def _error(error: Exception, place: str) -> UserError:
    """Return what Python's decoder says, for the user."""
    if isinstance(error, json.JSONDecodeError):
        what = f"{error.msg[:1].lower()}{error.msg[1:]}"
        return UserError(f"it can't be read as JSON: column {error.colno}: {what}", setting=place)
    if isinstance(error, _TwiceError):
        key = error.args[0]
        return UserError(
            f"the key {key!r} occurs twice in one object; rename one", setting=place, value=key, given=place
        )
    if isinstance(error, RecursionError):
        return UserError("its lists or objects are nested too deeply; make them flat", setting=place)
    return UserError("it holds an integer of thousands of digits; write it as text, in quotes", setting=place)


def _no_object(value: Any, place: str) -> UserError:
    rule = 'must be an object, one for each row, such as {"width": 1.5}'
    return UserError(rule, setting=place, value=json.dumps(value, ensure_ascii=False)[:40])


class _Text:
    """A JSON text that is read a part at a time.

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
        self.breaks, self.counted = 0, 0  # line breaks up to the character at `self.counted`
        self.before = 0  # characters of the line before `self.text`

    @property
    def line(self) -> int:
        """The line of the next character."""
        self.breaks += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.breaks + 1

    def objects(self) -> Iterator[JsonRow]:
        """Yield objects that stand one after the other."""
        while self.next():
            line = self.line
            cells = self.value(f"{self.path}, line {line}")
            if type(cells) is not dict:
                raise _no_object(cells, f"{self.path}, line {line}")
            yield JsonRow(cells, line)

    def entries(self) -> Iterator[JsonRow]:
        """Yield the objects of a list."""
        self.next()
        self.at += 1
        if self.next() != "]":
            for row in count():
                if (cells := self.plain_value()) is None:
                    cells = self.value(f"{self.path}, row {row}")
                if type(cells) is not dict:
                    raise _no_object(cells, f"{self.path}, row {row}")
                yield JsonRow(cells, 0)
                if (comma := COMMA.match(self.text, self.at)) is not None:
                    self.at = comma.end()
                    self.next()
                elif (mark := self.next()) == ",":
                    self.at += 1
                    self.next()
                elif mark == "]":
                    break
                else:
                    self.broken("Expecting ',' or ']'")
        self.at += 1
        if self.next():
            self.broken("Something follows the list")

    def next(self) -> str:
        """Go to the next character that is not space, and return it; "" at the end."""
        while True:
            match = SPACE.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def plain_value(self) -> Any:
        """Return the value that begins here, and go behind it; None where it is long, or may be nested deeply."""
        try:
            value, end = DECODER.raw_decode(self.text, self.at)
        except _ERRORS:
            return None
        brackets = self.text.count("[", self.at, end) + self.text.count("{", self.at, end)
        if end - self.at > SHORT or brackets > FLAT:
            return None
        self.at = end
        return value

    def value(self, place: str) -> Any:
        """Return the value that begins here, and go behind it.

        Raises UserError where there is none, or it is too long or nested too deeply.
        """
        most = limits().cell
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
                if end - self.at > most:
                    raise _too_long(place, most)
                _check_depth(value, self.text[self.at : end], place)
                self.at = end
                return value
            except json.JSONDecodeError as error:
                may_be_cut = error.msg.startswith("Unterminated string") or error.pos > len(self.text) - CUT
                if may_be_cut and len(self.text) - self.at > most:
                    raise _too_long(place, most) from None
                if may_be_cut and self.more():
                    continue
                self.at = min(error.pos, len(self.text))
                self.broken(error.msg)
            except UserError:
                raise
            except _ERRORS as error:
                raise _error(error, place) from None

    def more(self) -> bool:
        """Read the next part, and forget what lies behind; return False at the end."""
        part = self.file.read(max(PART, len(self.text) - self.at))
        if part:
            _ = self.line  # counts up to here
            self.before = self._column - 1
            self.text, self.at, self.counted = self.text[self.at :] + part, 0, 0
        return bool(part)

    @property
    def _column(self) -> int:
        """The column of the next character."""
        begin = self.text.rfind("\n", 0, self.at)
        return self.at - begin if begin >= 0 else self.before + self.at + 1

    def broken(self, what: str) -> NoReturn:
        """Raise UserError about what stands here."""
        rule = f"it can't be read as JSON: column {self._column}: {what[:1].lower()}{what[1:]}"
        raise UserError(rule, setting=f"{self.path}, line {self.line}")
