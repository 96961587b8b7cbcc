"""Text in a CSV that a person opens in a spreadsheet, which runs a cell that begins with "=" as a formula.

Such a cell gets a leading apostrophe, which `unguarded` takes away where the file is read back.
"""

from __future__ import annotations

import re

FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the first character of a formula, wide ones too
NUMBER = re.compile(r"[+-]\s?[\d.,' ]*\d[\d.,' ]*(e[+-]?\d+)?\s?%?", re.IGNORECASE)  # with a sign, and no formula


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: with an apostrophe before what could be one."""
    return f"'{text}" if _needs_guard(text) else text


def unguarded(text: str) -> str:
    """Return the text that `guarded` was given, of what it returned; any other text as it is."""
    return text[1:] if text.startswith("'") and _needs_guard(text[1:]) else text


def _needs_guard(text: str) -> bool:
    """Whether a text begins as a formula; behind apostrophes too, so that `unguarded` gives each text back."""
    begins = FORMULA.match(text.lstrip("'")) is not None
    return begins and (text.startswith("'") or NUMBER.fullmatch(text) is None)
