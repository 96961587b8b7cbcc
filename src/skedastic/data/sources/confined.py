"""Files at paths that the data names: whether each is there, is a file, and is in the data's own folder.

A path may be absolute, have `..` in it, or go through a link. What counts is where the file really is. Each folder is
listed once, so that 100,000 paths are not resolved one by one, which is slow on disks of a network.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from skedastic.runtime.limits import limits

TRUST = "if you trust the data, --trust-paths lets paths lead anywhere"


class Place(Enum):
    """Where a path leads."""

    INSIDE = "a file in the data's folder"
    OUTSIDE = "out of the data's folder"
    SPECIAL = "to a pipe, a socket or a device, and no file"
    NOWHERE = "to no file"


class _Listed(NamedTuple):
    """A folder: whether it is there, and what it holds where that is inside and can be listed."""

    is_there: bool
    entries: dict[str, os.DirEntry[str]]


class Folders:
    """Tells where paths lead, as seen from some folders that hold the data.

    Parameters
    ----------
    roots : iterable of str or Path, or None
        The folders; None where the data lies in none, such as a frame that a program of the user's made.
    """

    def __init__(self, roots: Iterable[str | Path] | None) -> None:
        self._roots = None if roots is None else [os.path.join(os.path.realpath(root), "") for root in roots]
        self._listed: dict[str, _Listed] = {}

    def place(self, path: str) -> Place:
        """Return where a path leads; nothing is opened.

        Parameters
        ----------
        path : str
            The path, as it is seen from here.
        """
        folder, name = os.path.split(path)
        if folder not in self._listed:
            self._listed[folder] = self._list(folder or ".")
        listed = self._listed[folder]
        if not listed.is_there:
            return Place.NOWHERE
        entry = listed.entries.get(name)
        if entry is not None and entry.is_file(follow_symlinks=False):
            return Place.INSIDE
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            return Place.NOWHERE
        if stat.S_ISDIR(mode):
            return Place.NOWHERE
        if not stat.S_ISREG(mode):
            return Place.SPECIAL
        return Place.INSIDE if self.holds(path) else Place.OUTSIDE

    def holds(self, path: str | Path) -> bool:
        """Tell whether a path is in the folders, or is one of them, all links followed; or paths are trusted.

        Parameters
        ----------
        path : str or Path
            The path.
        """
        if self._roots is None or limits().trust_paths:
            return True
        real = os.path.join(os.path.realpath(path), "")
        return any(real.startswith(root) for root in self._roots)

    def _list(self, folder: str) -> _Listed:
        try:
            if not os.path.isdir(folder):
                return _Listed(False, {})
            if self.holds(folder):
                with os.scandir(folder) as found:
                    return _Listed(True, {entry.name: entry for entry in found})
        except (OSError, ValueError):  # such as a folder that may not be listed
            pass
        return _Listed(True, {})


def rule_of(place: Place) -> str:
    """Return the rule that a path breaks which leads there, and the way out, for an error.

    Parameters
    ----------
    place : Place
        Any but inside.
    """
    return f"leads {place.value}; {TRUST if place is Place.OUTSIDE else 'mend the path, or remove it'}"
