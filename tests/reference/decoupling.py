"""Decoupling, literally: one network's loss on a batch (Malach and Shalev-Shwartz 2017, and `least` of their code)."""

from __future__ import annotations

from collections.abc import Sequence


def loss(losses: Sequence[float], one: Sequence[int], other: Sequence[int], least: float) -> float:
    """Σ over examples on which the predictions `one` and `other` differ, divided by their number, or by least · B."""
    differ = [i for i in range(len(losses)) if one[i] != other[i]]
    return sum(losses[i] for i in differ) / max(len(differ), least * len(losses))
