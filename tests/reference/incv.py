"""INCV, literally from its equations and the text of its algorithms (Chen et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def noise_rate(agreement: float, classes: int) -> float:
    """The search for ε, in steps of a thousandth."""
    rate = 0.0
    while rate < 1 and (1 - rate) ** 2 + rate**2 / (classes - 1) > agreement:
        rate += 0.001
    return rate


def choose(agrees: Sequence[bool], losses: Sequence[float], rate: float) -> tuple[set[int], set[int]]:
    """Who is selected, and who is dropped."""
    selected = {i for i, a in enumerate(agrees) if a}
    count = int(min(2, rate / (1 - rate)) * len(selected))
    by_loss = sorted(range(len(losses)), key=lambda i: -losses[i])
    return selected, set(by_loss[:count]) - selected


def simulated(classes: int, rate: float, n: int, seed: int) -> tuple[float, float]:
    """Return the agreement of predictions drawn as labels are, and the share of wrong labels where they agree."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)

    def corrupted() -> np.ndarray:
        other = (truth + rng.integers(1, classes, size=n)) % classes
        return np.where(rng.random(n) < rate, other, truth)

    labels, predicted = corrupted(), corrupted()
    agrees = labels == predicted
    return float(agrees.mean()), float((labels != truth)[agrees].mean())
