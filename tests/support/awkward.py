"""Awkward inputs: each with what is done about it, in words for the documentation and as a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Made = Path | str


@dataclass(frozen=True)
class Documented:
    """An input that people bring, as the documentation lists it; a test holds what is done with it.

    Parameters
    ----------
    kind : str
        The heading that it belongs under, such as "picture".
    what : str
        The input in words.
    does : str
        What is done with it, in words.
    """

    kind: str
    what: str
    does: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True)
class AwkwardFolder(Documented):
    """Pictures or folders.

    Parameters
    ----------
    make : callable
        Writes the input into an empty folder, and returns what names it where that is not the folder itself.
    holds : callable
        Asserts what is done of the opened source, or of the error.
    """

    make: Callable[[Path], Made | None]
    holds: Callable[[Any], None]


@dataclass(frozen=True)
class AwkwardFile(Documented):
    """Files of tables.

    Parameters
    ----------
    files : mapping of str to bytes
        A file of each ending; all of them hold the same.
    cells : mapping of str to list
        The cells of each column as text, "" where missing, where the files are read.
    notes : tuple of str
        What the user is told, where the files are read.
    where : str
        The place of the error where the files are refused, behind the name of the file, such as ", line 3".
    rule : str
        A few words of that error.
    """

    files: Mapping[str, bytes]
    cells: Mapping[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    where: str = ""
    rule: str = ""
