"""When something begins: a fraction of the epochs, an epoch, or with the first drop of the learning rate."""

from __future__ import annotations

from math import ceil
from typing import Final, Literal

FIRST_DROP: Final = "first-drop"
When = float | Literal["first-drop"]
LATE = 0.8  # where the rate does not drop in steps: LDAM's and ABSGD's 160 of 200 epochs


def epoch_of(at: When, epochs: int, drop: int | None = None) -> float:
    """Return the epoch, counted from 0, that `at` means.

    A fraction is the last epoch at the latest, so that it is reached however few epochs there are.

    Parameters
    ----------
    at : float or "first-drop"
        Below 1 a fraction of the epochs, else an epoch counted from 0; or with the first drop of the learning rate,
        after 0.8 of the epochs where there is none.
    epochs : int
        Epochs of the whole training, at least 1.
    drop : int, optional
        The first epoch of the learning rate's first drop; None where it does not drop in steps.
    """
    if at == FIRST_DROP:
        if drop is not None:
            return drop
        at = LATE
    # 0.55 · 100 is 55, and in floating point above it
    return min(ceil(at * epochs - 1e-9), epochs - 1) if at < 1 else at
