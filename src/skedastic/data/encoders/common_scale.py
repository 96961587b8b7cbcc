"""Many numbers of one kind, such as the coordinates of an embedding, keep their own proportions.

Standardizing each would make the last principal component, which is noise, as large as the first. Numbers are taken to
be of one kind where there are many, and their spreads are alike; pixels, spectra and counts are, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MANY = 32  # numbers, above which they may be of one kind
ALIKE = 10.0  # times the spread of most that of others may be


def common_scale(spreads: Sequence[float]) -> float | None:
    """Return the scale that all share, the root mean square of their spreads; None where they are no such numbers.

    The tenths with the largest and the smallest spread count as the others next to them do.

    Parameters
    ----------
    spreads : sequence of float
        The spread of each, such as its standard deviation, above 0.
    """
    if len(spreads) <= MANY:
        return None
    low, high = np.quantile(spreads, (0.1, 0.9))
    return float(np.sqrt(np.mean(np.clip(spreads, low, high) ** 2))) if high <= ALIKE * low else None
