r"""Text of the user's, such as the name of a class, a column or a file, where a person reads it.

It is written so that it can neither be taken for markup nor change what stands around it. Characters that nobody sees,
or that change the direction of what follows, are written as in Python: \x1b, \u202e.
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


def markdown(text: str) -> str:
    """Return Markdown that shows a text as it is: in one line, without markup and links, in a table too."""
    shown = html.escape(MARKDOWN.sub(r"\\\g<0>", visible(text)), quote=False)
    first = AT_FIRST.match(shown)
    return shown if first is None else f"{shown[: first.end() - 1]}\\{shown[first.end() - 1 :]}"


def code(text: str) -> str:
    """Return Markdown that shows a text as code: between backticks, or in HTML where it holds markup."""
    shown = visible(text)
    return f"`{shown}`" if PLAIN_CODE.fullmatch(shown) else f"<code>{markdown(text)}</code>"


def _in_python(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _in_json(character: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(character.encode("utf-16-le", "surrogatepass")).cast("H"))
