r"""Text of the user's, such as the name of a class, a column or a file, written for the place where it is read.

It is written so that it can neither be taken for markup or a formula nor change what stands around it. Characters that
nobody sees, or that change the direction of what follows, are written as in Python: \x1b, \u202e. HTML is escaped by
the template of the page.
"""

from __future__ import annotations

import html
import re

UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)  # controls, directions, marks without width, blanks that are no space, halves of a surrogate pair
MARKDOWN = re.compile(r"[\\`*_\[\]|~$#]|:(?=//|[\w+-]+:)|(?<=www)\.", re.IGNORECASE)
AT_FIRST = re.compile(r"([-+=]|\d+[.)])(?=\s|[-=]|$)")  # what makes a line a list or a heading
PLAIN_CODE = re.compile(r"[^`<>&|\\]+")
FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the first character of a formula, wide ones too
NUMBER = re.compile(r"[+-]\s?[\d.,' ]*\d[\d.,' ]*(e[+-]?\d+)?\s?%?", re.IGNORECASE)  # with a sign, and no formula
COMMANDS = r"0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f]"  # to a terminal: controls but for tabs and line breaks, in hex
COMMAND = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\\(?=x(?:5c|{COMMANDS}))")
WRITTEN_COMMAND = re.compile(rf"\\x({COMMANDS})|\\x5c(?=x(?:5c|{COMMANDS}))")


def visible(text: str, but: str = "") -> str:
    """Return a text with every unseen character, but for some, written as in Python.

    Parameters
    ----------
    text : str
        The text.
    but : str, optional
        Characters that stay, such as line breaks.
    """
    return UNSEEN.sub(lambda match: match[0] if match[0] in but else _in_python(match[0]), text)


def in_json(text: str) -> str:
    """Return a text of JSON with the unseen characters in its strings escaped."""
    return UNSEEN.sub(lambda match: match[0] if match[0] == "\n" else _in_json(match[0]), text)


def in_toml(text: str) -> str:
    """Return a text of TOML with the unseen characters in its strings escaped."""
    return UNSEEN.sub(lambda match: match[0] if match[0] == "\n" else f"\\U{ord(match[0]):08x}", text)


def markdown(text: str) -> str:
    """Return Markdown that shows a text as it is: in one line, without markup and links, in a table too."""
    shown = html.escape(MARKDOWN.sub(r"\\\g<0>", visible(text)), quote=False)
    first = AT_FIRST.match(shown)
    return shown if first is None else f"{shown[: first.end() - 1]}\\{shown[first.end() - 1 :]}"


def code(text: str) -> str:
    """Return Markdown that shows a text as code: between backticks, or in HTML where it holds markup."""
    shown = visible(text)
    return f"`{shown}`" if PLAIN_CODE.fullmatch(shown) else f"<code>{markdown(text)}</code>"


def in_csv(text: str) -> str:
    r"""Return a text as the cell of a CSV: no spreadsheet runs it as a formula, and no terminal obeys it.

    What could be a formula gets a leading apostrophe. Controls other than tabs and line breaks are written as in
    Python, as is a backslash that would otherwise seem to begin one: \x5cx1b. `from_csv` gives every text back.
    """
    written = COMMAND.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return f"'{written}" if _needs_apostrophe(written) else written


def from_csv(cell: str) -> str:
    """Return the text that `in_csv` was given, of what it returned; most other texts as they are."""
    written = cell[1:] if cell.startswith("'") and _needs_apostrophe(cell[1:]) else cell
    return WRITTEN_COMMAND.sub(lambda match: chr(int(match[1], 16)) if match[1] else "\\", written)


def _needs_apostrophe(text: str) -> bool:
    """Whether a text begins as a formula; behind apostrophes too, so that `from_csv` gives each text back."""
    begins = FORMULA.match(text.lstrip("'")) is not None
    return begins and (text.startswith("'") or NUMBER.fullmatch(text) is None)


def _in_python(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _in_json(character: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(character.encode("utf-16-le", "surrogatepass")).cast("H"))
