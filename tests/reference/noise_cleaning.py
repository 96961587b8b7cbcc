"""Noise cleaning, literally from its equations and algorithms, one example at a time in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kept(losses: Floats, rate: float) -> set[int]:
    """Co-teaching, Algorithm 1, steps 4 and 5: the R |B| examples with the smallest losses."""
    order = sorted(range(len(losses)), key=lambda i: losses[i])
    return set(order[: max(int(round((1 - rate) * len(losses), 9)), 1)])


def co_teaching(first: Floats, other: Floats, rate: float) -> tuple[float, float]:
    """Steps 6 and 7: the mean loss of each network over what the other keeps."""
    by_other, by_first = kept(other, rate), kept(first, rate)
    return (
        sum(first[i] for i in by_other) / len(by_other),
        sum(other[i] for i in by_first) / len(by_first),
    )


def elr(visits: list[tuple[int, Floats]], classes: int, beta: float) -> tuple[list[float], dict[int, Floats]]:
    """ELR, equations 6 and 9, visit by visit of (example, softmax): log(1 − ⟨p, t⟩) after t moved; and the targets."""
    targets: dict[int, Floats] = {}
    terms = []
    for i, softmax in visits:
        p = np.clip(softmax, 1e-4, 1 - 1e-4)
        targets[i] = beta * targets.get(i, np.zeros(classes)) + (1 - beta) * p / p.sum()
        terms.append(float(np.log(1 - sum(p * targets[i]))))
    return terms, targets
