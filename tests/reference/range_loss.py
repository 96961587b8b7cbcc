"""Range loss, literally: every pair of examples, and every pair of classes (Zhang et al. 2017, eq. 7 to 9)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def squared(a: Floats, b: Floats) -> float:
    return float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def intra(features: Floats, y: NDArray[np.int64], k: int) -> float:
    """Σ_c k / Σ_j 1/D_j."""
    total = 0.0
    for label in set(y.tolist()):
        x = [features[i] for i in range(len(y)) if y[i] == label]
        distances = sorted((squared(x[i], x[j]) for i in range(len(x)) for j in range(i)), reverse=True)[:k]
        if distances:
            total += len(distances) / sum(1 / d for d in distances)
    return total


def inter(features: Floats, y: NDArray[np.int64], margin: float) -> float:
    """max(m − D, 0)."""
    means = [np.mean([features[i] for i in range(len(y)) if y[i] == label], axis=0) for label in set(y.tolist())]
    nearest = min(squared(means[i], means[j]) for i in range(len(means)) for j in range(i))
    return max(margin - nearest, 0.0)
