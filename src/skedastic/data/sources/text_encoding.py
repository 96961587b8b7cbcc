"""The encoding of a text file: UTF-8, UTF-16 or UTF-32, else Windows-1252, as spreadsheets save."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from pathlib import Path

from skedastic.data.sources.names import readable
from skedastic.errors import UserError

UTF_8, WINDOWS = "utf-8-sig", "cp1252"
SHOWN = {WINDOWS: "Windows-1252"} | {f"utf-{n}{end}": f"UTF-{n}" for n in (16, 32) for end in ("", "-le", "-be")}
NOT_TEXT = "it is not a text file in UTF-8; save it as CSV in UTF-8"
OTHER_FORMATS = {  # by their first bytes
    b"\x1f\x8b": "it is compressed by gzip; unpack it first",
    b"PK\x03\x04": "it is a workbook or a zip archive; save the sheet as CSV in UTF-8, or unpack it",
    b"PAR1": "it is a Parquet file; let its name end in .parquet",
    b"ARROW1": "it is an Arrow file; let its name end in .arrow",
}
BEYOND_ASCII = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")  # in UTF-8
BLOCK = 2**20


def encoding_of_head(head: bytes, path: Path) -> str:
    """Return the encoding of a file as its first bytes tell. Raises UserError for a file of another format.

    Parameters
    ----------
    head : bytes
        The first bytes of the file.
    path : Path
        The file, for errors.
    """
    for mark, rule in OTHER_FORMATS.items():
        if head.startswith(mark):
            raise UserError(rule, setting=str(path))
    encoding = json.detect_encoding(head)  # by a byte order mark, or by zero bytes
    if not encoding.startswith("utf-8"):
        return encoding
    return UTF_8 if _is_utf_8([head], whole=False) else _by_most(head.splitlines(keepends=True), path)


def encoding_of_file(path: Path) -> str:
    """Return the encoding of a file as all of its bytes tell.

    Raises
    ------
    UserError
        The file holds zero bytes, or most of it is UTF-8 and the rest is not.
    """
    with readable(path), path.open("rb") as file:
        head = file.read(BLOCK)
        encoding = encoding_of_head(head, path)
        if encoding not in (UTF_8, WINDOWS):
            return encoding
        file.seek(0)
        if any(b"\0" in block for block in iter(lambda: file.read(BLOCK), b"")):
            raise UserError(NOT_TEXT, setting=str(path))
        file.seek(0)
        if _is_utf_8(iter(lambda: file.read(BLOCK), b"")):
            return UTF_8
        file.seek(0)
        return _by_most(file, path)


def not_utf_8(path: Path) -> UserError:
    """Return the error for a file that must be UTF-8 and is not."""
    with readable(path), path.open("rb") as file:
        wrong = (n for n, line in enumerate(file, 1) if not line.isascii() and not _is_utf_8([line]))
        return _broken(path, next(wrong, 1))


def _broken(path: Path, line: int) -> UserError:
    rule = "it holds bytes that are not UTF-8, as the file must be; mend the line, or save the file in UTF-8"
    return UserError(rule, setting=f"{path}, line {line}")


def _is_utf_8(blocks: Iterable[bytes], whole: bool = True) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in blocks:
            if not block.isascii() or decoder.getstate()[0]:
                decoder.decode(block)
        decoder.decode(b"", final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _by_most(lines: Iterable[bytes], path: Path) -> str:
    """Return Windows-1252 where fewer characters beyond ASCII are written as UTF-8 writes them than are not.

    Raises UserError, with the first line that is not UTF-8, where more are.
    """
    right = wrong = first = 0
    marked = False
    for number, line in enumerate(lines, 1):
        if line.isascii():
            continue
        marked = marked or (number == 1 and line.startswith(codecs.BOM_UTF8))
        rest, count = BEYOND_ASCII.subn(b"", line)
        others = sum(byte > 127 for byte in rest)
        right, wrong = right + count, wrong + others
        first = first or (number if others else 0)
    if marked or right > wrong:
        raise _broken(path, first)
    return WINDOWS
