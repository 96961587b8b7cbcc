"""Text of a whole file, in the encoding that it is written in."""

from __future__ import annotations

import codecs
from pathlib import Path

from skedastic.data.sources.names import shown_path
from skedastic.errors import UserError
from skedastic.runtime.limits import limits, too_much

MARKS = (  # byte order marks, the longer first
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WINDOWS = "cp1252"


def read_text(path: Path) -> tuple[str, bool]:
    """Return the text of a file, and whether it was guessed to be in Windows-1252 since it is not in UTF-8.

    Raises UserError where it can't be read, is no text, or is too long.
    """
    try:
        if (size := path.stat().st_size) > limits().cell:
            raise too_much(shown_path(path), f"it has {size:,} bytes", "cell", size)
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"it can't be read ({error.strerror})", setting=shown_path(path)) from None
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), None)
    for name in (encoding,) if encoding else ("utf-8", WINDOWS):
        if encoding is None and b"\0" in content:
            break
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n"), name == WINDOWS
    raise UserError("it is not a text in UTF-8, or in UTF-16; save it in UTF-8", setting=shown_path(path))
