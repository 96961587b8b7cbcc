"""MentorNet's predefined curriculum, one example at a time, in NumPy (Jiang et al. 2018, eq. 5 and 6; their code)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def weight(loss: float, moving: float, percent: int, width: float) -> float:
    """v of one example."""
    difference = loss - moving
    if percent < 90 or width == 0:
        return 1.0 if difference <= 0 else 0.0
    return min(max(1 - difference / width, 0.0), 1.0)


def moving_percentiles(batches: Sequence[Sequence[float]], percentile: float, decay: float) -> list[float]:
    """λ₁ after each batch of losses, from 0."""
    averages, moving = [], 0.0
    for losses in batches:
        moving = decay * moving + (1 - decay) * float(np.percentile(losses, 100 * percentile, method="nearest"))
        averages.append(moving)
    return averages
