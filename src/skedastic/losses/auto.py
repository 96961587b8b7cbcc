"""The loss that fits the outputs: cross entropy of logits, squared error of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skedastic.losses.base import PerExampleLoss
from skedastic.losses.cross_entropy import cross_entropy
from skedastic.losses.squared import squared


@dataclass(frozen=True, kw_only=True)
class Auto(PerExampleLoss):
    """Cross entropy of logits [B, C]; half the squared error of numbers [B]: the paper's loss of either task."""

    supports: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})
    soft: ClassVar[bool] = True
    reduces_to_cross_entropy = ({},)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        return squared(outputs, y) if outputs.dim() == 1 else cross_entropy(outputs, y)
