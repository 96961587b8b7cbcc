"""What a check of a run or of the machine has found: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["sound", "note", "damaged"]


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Parameters
    ----------
    place : str
        What was checked, such as a file.
    said : str
        What was found, in words.
    kind : str
        "sound"; "note", what is good to know; or "damaged", what can't be used as it is.
    """

    place: str
    said: str
    kind: Kind = "sound"
