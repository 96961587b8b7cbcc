"""How the cells of feature columns are read: what training has found holds for every later file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from skedastic.data.tables.dress import Dress


def copied(reading: Reading) -> Reading:
    """Return a reading that may learn more, as of dates that training wrote without a day first or last."""
    return Reading(dict(reading.day_first), dict(reading.dresses), dict(reading.lengths))


@dataclass(frozen=True)
class Reading:
    """How the cells of feature columns are read, where the kind of a column does not tell it.

    Parameters
    ----------
    day_first : dict of str to bool
        For each column of dates that are written so, whether 3/4 is the third of April.
    dresses : dict of str to Dress
        How the numbers of columns are written that are not plain ones.
    lengths : dict of str to int
        How many numbers each cell of a column of lists holds.
    """

    day_first: dict[str, bool] = field(default_factory=dict)
    dresses: dict[str, Dress] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Reading:
        """Return the reading that `to_json` described.

        Parameters
        ----------
        state : mapping
            The plain JSON values.
        """
        return Reading(
            day_first={name: bool(first) for name, first in state["day_first"].items()},
            dresses={name: Dress(**dress) for name, dress in state["dresses"].items()},
            lengths={name: int(length) for name, length in state["lengths"].items()},
        )
