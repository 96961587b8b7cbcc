"""Cross entropy, −log softmax(logits)_y: the loss of plain training; with label smoothing, and for soft labels.

Source of the smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
section 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from skedastic.configurable import setting
from skedastic.losses.base import PerExampleLoss


def cross_entropy(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return −Σ_c t_c log softmax(logits)_c, [B], with t = (1 − smoothing) y + smoothing/C.

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1, or soft [B, C].
    smoothing : float
        The share of each label that is spread evenly over all classes, in [0, 1).
    """
    return F.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing)


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(PerExampleLoss):
    """Cross entropy of logits [B, C] against labels y, [B] integer or [B, C] soft."""

    smoothing: float = setting(
        0.0, "share of each label that is spread evenly over all classes; 0.1 is usual", "[0, 1)"
    )

    soft: ClassVar[bool] = True
    reduces_to_cross_entropy = ({"smoothing": 0.0},)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the cross entropies [B], each ≥ 0."""
        return cross_entropy(outputs, y, self.smoothing)
