"""Many numbers of one kind, such as the coordinates of an embedding, keep their own proportions.

Standardizing each would make the last principal component, which is noise, as large as the first. Numbers are taken to
be of one kind where there are many, and the spreads of most are alike; pixels, spectra and counts are, too. What lies
far beyond these counts as much as their ends, so that it neither drowns the others nor vanishes beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MANY = 32  # numbers, above which they may be of one kind
ALIKE = 10.0  # times the spread of most that of others may be
MOST = (0.1, 0.9)  # the quantiles that most lie between
BEYOND = 2.0  # times as far as these a number may count


def proportions(spreads: Sequence[float]) -> NDArray[np.float64]:
    """Return what each number is multiplied by once it is standardized, [d]: 1 where they are of different kinds.

    Else it is the spread over the root mean square of all, with what lies beyond most of them drawn to their ends.

    Parameters
    ----------
    spreads : sequence of float
        The spread of each, such as its standard deviation, [d]; 0 of one that stays as it is, such as an indicator.
    """
    spread = np.asarray(spreads, dtype=np.float64)
    counted, found = spread > 0, np.ones(len(spread))
    if counted.sum() <= MANY:
        return found
    low, high = np.quantile(spread[counted], MOST)
    if high <= ALIKE * low:
        common = np.sqrt(np.mean(np.clip(spread[counted], low, high) ** 2))
        found[counted] = np.clip(spread[counted], low / BEYOND, high * BEYOND) / common
    return found
