"""The loss that fits the outputs: cross entropy of logits, squared error of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skedastic.losses.cross_entropy import CrossEntropy
from skedastic.losses.squared import Squared


@dataclass(frozen=True, kw_only=True)
class Auto:
    """Cross entropy of logits [B, C]; half the squared error of numbers [B]: the paper's loss of either task."""

    supports: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        return (Squared() if outputs.dim() == 1 else CrossEntropy())(outputs, y)
