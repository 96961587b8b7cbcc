"""Files that may come from anyone: they are read where they are files, and JSON where it is not nested too deeply."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

from skedastic.errors import UserError
from skedastic.runtime.limits import limits, too_much

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
TOO_DEEP = "its lists and objects are nested"


def check_regular(path: Path) -> None:
    """Raise UserError where something is at a path that would block or never end when it is read, such as a pipe."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):
        return
    if kind in KINDS:
        raise UserError(f"it is {KINDS[kind]}, and no file; name a file", setting=str(path))


def json_value(text: str | bytes, place: str) -> Any:
    """Return the value of a JSON text.

    Raises UserError, about `place`, where it is nested too deeply, and ValueError where it is no JSON.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep(place) from None
    check_nesting(value, place)
    return value


def check_nesting(value: Any, place: str) -> None:
    """Raise UserError, about `place`, where lists and mappings are nested too deeply in one another."""
    if depth(value) > limits().nesting:
        raise _too_deep(place, depth(value))


def depth(value: Any) -> int:
    """Return how many lists and mappings are within one another; 0 where there is none."""
    level, count = [value], 0
    while nested := [v for v in level if isinstance(v, (dict, list, tuple))]:
        level = [inner for v in nested for inner in (v.values() if isinstance(v, dict) else v)]
        count += 1
    return count


def _too_deep(place: str, levels: int | None = None) -> UserError:
    """Return the error for values that are nested so many levels deep, or more than Python can tell."""
    said = "too deeply" if levels is None else f"{levels} deep"
    return too_much(place, f"{TOO_DEEP} {said}", "nesting", sys.getrecursionlimit() if levels is None else levels)
