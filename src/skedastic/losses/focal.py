"""Focal loss, −(1 − p_y)^γ log p_y (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 4).

Easy examples count less. The paper's α of equation 5 is a class weight here, w (1 − p)^γ (−log p), as Cui et al. 2019 have it
(equation 5); LDAM-DRW's and ABSGD's code weigh the cross entropy before p is taken back from it, so that p is not the
network's. It is computed from log(1 − p) so that the
gradient is finite at p = 1 for γ < 1 too, where the usual form (LDAM-DRW's and ABSGD's code) gives NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from skedastic.errors import UserError
from skedastic.losses.base import PerExampleLoss, log_probability, log_rest


def focal(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Return −(1 − p_y)^gamma log p_y, [B], of logits [B, C] and labels y [B] int64."""
    if gamma == 0:
        return -log_probability(logits, y)
    return -(gamma * log_rest(logits, y)).exp() * log_probability(logits, y)


@dataclass(frozen=True, kw_only=True)
class Focal(PerExampleLoss):
    """The focal loss. gamma: ≥ 0; 0 is cross entropy, 2 the paper's, 1 LDAM's and ABSGD's."""

    gamma: float = 2.0

    limits = ({"gamma": 0.0},)

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < float("inf"):
            raise UserError(f"focal(gamma={self.gamma}): gamma must be at least 0; 0 is cross entropy, 2 is usual")

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        return focal(outputs, y, self.gamma)
