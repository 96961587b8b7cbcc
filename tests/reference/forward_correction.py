"""Forward correction, literally, in NumPy and double precision (Patrini et al. 2017, Theorem 2, eq. 12 and 13)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def loss(logits: Floats, y: int, transition: Floats) -> float:
    """−log Σ_i T_iy p_i."""
    e = np.exp(logits - logits.max())
    p = e / e.sum()
    return float(-np.log(sum(transition[i, y] * p[i] for i in range(len(p)))))


def estimated(p: Floats, percentile: float) -> Floats:
    """Row i: the prediction for the example of the largest p_i, or of the largest below the percentile (their code)."""
    transition = np.empty((p.shape[1], p.shape[1]))
    for i in range(p.shape[1]):
        column = p[:, i].copy()  # theirs is a view, and corrupts later rows
        if percentile < 1:
            threshold = np.percentile(column, 100 * percentile, method="higher")
            column[column >= threshold] = 0
        transition[i] = p[column.argmax()]
    return transition / transition.sum(1, keepdims=True)
