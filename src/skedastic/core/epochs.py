"""When something begins: a fraction of the epochs, or an epoch."""

from __future__ import annotations

from math import ceil


def epoch_of(at: float, epochs: int) -> float:
    """Return the epoch, counted from 0, that `at` means.

    A fraction is the last epoch at the latest, so that it is reached however few epochs there are.

    Parameters
    ----------
    at : float
        Below 1 a fraction of the epochs, else an epoch counted from 0.
    epochs : int
        Epochs of the whole training, at least 1.
    """
    # 0.55 · 100 is 55, and in floating point above it
    return min(ceil(at * epochs - 1e-9), epochs - 1) if at < 1 else at
