"""The small language in which methods are put together: `absgd(lam=5, class_weights=deferred(effective-number))`.

A text becomes the plain data that TOML gives for the same method: a name with settings is a table with the key `name`,
and a name alone is text. Values are numbers, words, "quoted text", lists [a, b], tables {a=1} and names with settings
in brackets. A first setting without a name, as in deferred(inverse), stands under the key "".
"""

from __future__ import annotations

import re
from typing import Any

from skedastic.errors import UserError

TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*"|'[^']*')
    |(?P<number>[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf)(?![\w.-]))
    |(?P<word>[\w*?][\w.*?:-]*)|(?P<sign>[()\[\]{},=]))""",
    re.VERBOSE,
)
QUOTED = re.compile(r'(?:^|(?<=,))\s*"(?:[^"]|"")*"\s*(?=,|$)')  # a part of a list
DEEPEST = 30
CLOSING = {"(": ")", "[": "]", "{": "}"}


def parse_expression(text: str, place: str) -> Any:
    """Return the plain data that `text` means. Raises UserError about the setting `place` where it can't be read."""
    reader = _Reader(text, place)
    value = reader.value()
    if reader.next is not None:
        raise reader.error(f"nothing can follow at {reader.rest()!r}")
    return value


def split(text: str) -> list[str]:
    """Return the parts of a list, split at the commas that are in no brackets, and in no "quotes" around a part.

    These quotes are taken off; inside a quote is doubled, as in CSV.
    """
    masked = QUOTED.sub(lambda part: "_" * len(part[0]), text)
    closed = sum((c in CLOSING) - (c in CLOSING.values()) for c in masked) == 0  # else brackets are part of a name
    parts, depth, start = list[str](), 0, 0
    for i, c in enumerate(masked):
        depth += closed * ((c in CLOSING) - (c in CLOSING.values()))
        if c == "," and depth <= 0:
            parts.append(text[start:i])
            start = i + 1
    return [_without_quotes(part.strip()) for part in (*parts, text[start:])]


def _without_quotes(part: str) -> str:
    """Return a part of a list without the quotes that are around all of it."""
    return part[1:-1].replace('""', '"') if QUOTED.fullmatch(part) else part


def name_and_settings(name: str, place: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the settings of a text such as "absgd(lam=5)"."""
    if "(" not in name:
        return name, {}
    value = parse_expression(name, place)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        rule = "must be the name of a method, with settings in brackets: absgd(lam=5)"
        raise UserError(rule, setting=place, value=name)
    return value.pop("name"), value


class _Reader:
    """Reads one token ahead."""

    def __init__(self, text: str, place: str) -> None:
        self.text, self.place, self.at = text.rstrip(), place, 0
        self.kind, self.before, self.depth = "", 0, 0
        self.next: str | None = None
        self.advance()

    def error(self, reason: str) -> UserError:
        way = "write name(setting=value, …), such as absgd(lam=5, loss=ldam)"
        return UserError(f"{reason}; {way}", setting=self.place, value=self.text)

    def rest(self) -> str:
        return self.text[self.before :].strip()

    def advance(self) -> None:
        self.before = self.at
        if self.at == len(self.text):
            self.kind, self.next = "", None
            return
        match = TOKEN.match(self.text, self.at)
        if match is None or match.lastgroup is None:
            raise self.error(f"{self.rest()!r} begins no value")
        self.kind, self.next, self.at = match.lastgroup, match[match.lastgroup], match.end()

    def number(self, token: str) -> int | float:
        try:
            return float(token) if re.search(r"[.eEi]", token) else int(token)
        except ValueError:  # Python reads no integer of so many digits
            raise self.error("a number has too many digits") from None

    def value(self) -> Any:
        kind, token = self.kind, self.next
        if token is None:
            raise self.error("the text ends too early")
        self.advance()
        if kind == "text":
            return token[1:-1]
        if kind == "number":
            return self.number(token)
        if token == "[":
            return self.items("[", lambda into: into.append(self.value()), [])
        if token == "{":
            return self.items("{", self.setting, {})
        if kind == "sign":
            raise self.error(f"a value is missing before {token!r}")
        if self.next == "(":
            self.advance()
            return self.items("(", self.setting, {"name": token})
        return {"true": True, "false": False}.get(token.lower(), token)

    def items(self, opening: str, read: Any, into: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(f"brackets are opened more than {DEEPEST} deep")
        while self.next != CLOSING[opening]:
            read(into)
            if self.next == ",":
                self.advance()
            elif self.next != CLOSING[opening]:
                rest = "the end" if self.next is None else repr(self.rest())
                raise self.error(f"{CLOSING[opening]!r} or a comma is missing before {rest}")
        self.advance()
        self.depth -= 1
        return into

    def setting(self, into: dict[str, Any]) -> None:
        kind, token = self.kind, self.next
        key, value = "", self.value()
        if self.next == "=" and token is not None:
            self.advance()
            key, value = token[1:-1] if kind == "text" else token, self.value()
        if key in into:
            raise self.error(f"{key or 'a setting without a name'} is given twice")
        into[key] = value
