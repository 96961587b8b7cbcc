"""A wall time as settings write it: 90s, 10m or 1.5h."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import Any

from skedastic.configurable import Written
from skedastic.errors import UserError

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}  # of a unit
AMOUNT = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?nan|[+-]?inf)\s*([^\W\d]*)", re.IGNORECASE
)
RULE = "must be a time in seconds, minutes or hours, such as 90s, 10m or 1.5h"


@dataclass(frozen=True)
class WallTime(Written):
    """A wall time.

    Parameters
    ----------
    text : str
        Its written form, such as "10m".
    seconds : float
        The same in seconds, above 0.
    """

    text: str
    seconds: float

    @classmethod
    def read(cls, plain: Any, place: str) -> WallTime:
        """Return the time of a text. Raises UserError for a number without a unit, and for what is no time above 0."""
        if isinstance(plain, Real) and not isinstance(plain, bool):
            raise UserError(f"has no unit; say {_shown(plain)}m for minutes", setting=place, value=plain)
        match = AMOUNT.fullmatch(plain.strip()) if isinstance(plain, str) else None
        if match is None:
            raise UserError(RULE, setting=place, value=plain)
        amount, unit = float(match[1]), match[2]
        if not 0 < amount < math.inf:
            raise UserError("must be above 0 and finite, such as 10m", setting=place, value=plain)
        if not unit:
            raise UserError(f"has no unit; say {match[1]}m for minutes", setting=place, value=plain)
        if unit not in SECONDS:
            rule = f"the unit {unit!r} is unknown; say s, m or h, for seconds, minutes or hours, as in 10m"
            raise UserError(rule, setting=place, value=plain)
        return cls("".join(plain.split()), amount * SECONDS[unit])

    def written(self) -> str:
        """Return the text."""
        return self.text

    def __str__(self) -> str:
        return self.text


def _shown(number: Real) -> str:
    """Return a number that was given without a unit, or 10 where it is no time."""
    return f"{number:g}" if 0 < float(number) < math.inf else "10"
