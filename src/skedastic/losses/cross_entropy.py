"""Cross entropy, −log softmax(logits)_y: the loss of plain training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skedastic.core.jacobian import cross_entropy


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Cross entropy of logits [B, C] against labels y, [B] integer or [B, C] soft."""

    supports: ClassVar[frozenset[str]] = frozenset({"classification"})

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return −log softmax(outputs)_y, [B], each ≥ 0."""
        return cross_entropy(outputs, y)
