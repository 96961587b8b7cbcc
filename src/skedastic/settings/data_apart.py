"""Where data apart from the training rows comes from: a test set, or trusted examples.

A configuration writes a share as a number, `test = 0.2`, and another source by its name, `test = "other.csv"`; "none"
is no such data, and "given" is data that was given in Python.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from skedastic.configurable import Written
from skedastic.errors import UserError

NOTHING, FROM_PYTHON = "none", "given"
RULE = "must be a share of the rows in (0, 1), such as 0.2, or the name of a file, or none"


class DataApart(Written):
    """Where the data comes from: `HoldOut`, `FromSource`, `FromPython` or `Nothing`."""

    @classmethod
    def read(cls, plain: Any, place: str) -> Any:
        """Return the data of a number or a text. Raises UserError for a share outside (0, 1), and for other types."""
        if plain is None or plain == NOTHING:
            return Nothing()
        empty = isinstance(plain, str) and not plain.strip()
        if empty or isinstance(plain, bool) or not isinstance(plain, (str, Path, Real)):
            raise UserError(RULE, setting=place, value=plain)
        try:
            share = float(plain) if isinstance(plain, Real) else float(str(plain))
        except OverflowError:
            raise UserError(RULE, setting=place, value=plain) from None
        except ValueError:
            return FromPython() if plain == FROM_PYTHON else FromSource(str(plain))
        if not 0 < share < 1:
            raise UserError(RULE, setting=place, value=int(share) if math.isfinite(share) and share % 1 == 0 else share)
        return HoldOut(share)

    def __str__(self) -> str:
        return str(self.written())


@dataclass(frozen=True)
class HoldOut(DataApart):
    """A share of the training rows, drawn by seed.

    Parameters
    ----------
    share : float
        The share of the rows, in (0, 1).
    """

    share: float

    def written(self) -> float:
        """Return the share."""
        return self.share


@dataclass(frozen=True)
class FromSource(DataApart):
    """Another source.

    Parameters
    ----------
    name : str
        A file, a folder, or a built-in set, as the command line takes it.
    """

    name: str

    def written(self) -> str:
        """Return the name."""
        return self.name


@dataclass(frozen=True)
class FromPython(DataApart):
    """Data that was given in Python; a configuration has no name for it."""

    def written(self) -> str:
        """Return "given"."""
        return FROM_PYTHON


@dataclass(frozen=True)
class Nothing(DataApart):
    """No such data."""

    def written(self) -> str:
        """Return "none"."""
        return NOTHING
