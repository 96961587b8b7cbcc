"""When something begins: a fraction of the epochs, or an epoch."""

from __future__ import annotations

from math import ceil


def epoch_of(at: float, epochs: int) -> float:
    """Return the epoch, counted from 0, that `at` means: below 1 a fraction of all `epochs`, else the epoch itself.

    A fraction is the last epoch at the latest, so that however few epochs there are, what is to begin does.
    """
    return (
        min(ceil(at * epochs - 1e-9), epochs - 1) if at < 1 else at
    )  # 0.55 of 100 is 55, which in floating point it is not
