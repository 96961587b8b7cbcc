"""When something begins: a fraction of the epochs, or an epoch."""

from __future__ import annotations


def epoch_of(at: float, epochs: int) -> float:
    """Return the epoch, counted from 0, that `at` means: below 1 a fraction of all `epochs`, else the epoch itself."""
    return at * epochs if at < 1 else at
