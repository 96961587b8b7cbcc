"""ELR+, literally, in NumPy: a network's loss, targets and EMA (Liu et al. 2020, eq. 6 and 9, and their code)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def softmax(z: Floats) -> Floats:
    e = np.exp(z - z.max())
    return e / e.sum()


def moved(target: Floats, seen: Floats, beta: float) -> Floats:
    """t ← β t + (1 − β) p of one example; seen: the peer's averaged network's logits for it."""
    return beta * target + (1 - beta) * softmax(seen)


def loss(logits: Floats, labels: Floats, targets: Floats, partner: list[int], share: float, lam: float) -> float:
    """Mean over the batch; logits: for the mixtures. labels: one-hot, not mixed; targets: not mixed."""
    total = 0.0
    for i in range(len(logits)):
        p = softmax(logits[i])
        y = share * labels[i] + (1 - share) * labels[partner[i]]
        q = share * targets[i] + (1 - share) * targets[partner[i]]
        total += -(y * np.log(p)).sum() + lam * np.log(1 - (q * np.clip(p, 1e-4, 1 - 1e-4)).sum())
    return total / len(logits)


def ramp(at: float, length: float) -> float:
    """exp(−5 (1 − min(at, length)/length)²)."""
    return float(np.exp(-5 * (1 - min(at, length) / length) ** 2))
