"""Awkward inputs: each with what is done about it, in words for the documentation and as a check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Made = Path | str


@dataclass(frozen=True)
class Awkward:
    """An input that people bring.

    Parameters
    ----------
    kind : str
        Where it belongs, such as "picture".
    what : str
        The input in words.
    make : callable
        Writes it into an empty folder, and returns what names it where that is not the folder itself.
    does : str
        What is done with it, in words.
    holds : callable
        Asserts that of the opened source, or of the error.
    """

    kind: str
    what: str
    make: Callable[[Path], Made | None]
    does: str
    holds: Callable[[Any], None]

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"
