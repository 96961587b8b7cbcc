"""Range loss, literally from its equations, pair by pair in float64."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def intra(x: Floats, y: list[int], k: int) -> float:
    """Σ over the classes of the batch of the harmonic mean of its k largest squared distances; x: [B, d]."""
    total = 0.0
    for c in sorted(set(y)):
        own = [x[i] for i in range(len(y)) if y[i] == c]
        distances = sorted((float(((a - b) ** 2).sum()) for a, b in combinations(own, 2)), reverse=True)[:k]
        if distances:
            total += len(distances) / sum(1 / d for d in distances)
    return total


def inter(x: Floats, y: list[int], margin: float) -> float:
    """max(m − D_center, 0) of the two nearest class means of the batch; 0 where there is one class."""
    means = [np.mean([x[i] for i in range(len(y)) if y[i] == c], axis=0) for c in sorted(set(y))]
    distances = [float(((a - b) ** 2).sum()) for a, b in combinations(means, 2)]
    return max(margin - min(distances), 0.0) if distances else 0.0
