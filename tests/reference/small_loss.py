"""Trimming by the losses of random labels, literally, in NumPy (Song et al. 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kept(losses: Floats, random: Floats, percentile: float, history: int) -> list[bool]:
    """losses: [n, epochs] so far. Who is kept: the mean of the last `history` epochs is not above the percentile."""
    threshold = np.percentile(random, percentile)
    return [bool(np.mean(row[-history:]) <= threshold) for row in losses]


def random_losses(weight: Floats, bias: Floats, n: int, seed: int) -> Floats:
    """Losses of uniformly random labels by the last layer on max(z, 0), z ~ N(0, 1)."""
    rng = np.random.default_rng(seed)
    losses = []
    for _ in range(n):
        logits = weight @ np.maximum(rng.standard_normal(weight.shape[1]), 0) + bias
        y = rng.integers(len(bias))
        losses.append(np.log(np.exp(logits).sum()) - logits[y])
    return np.array(losses)
