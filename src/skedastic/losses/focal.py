"""Focal loss, −(1 − p_y)^γ log p_y.

Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 4.

Easy examples count less. The paper's α of equation 5 is a class weight here, w (1 − p)^γ (−log p), as Cui et al. 2019
have it (equation 5). LDAM-DRW's and ABSGD's code weigh the cross entropy, and take p back from that:
(1 − p^w)^γ (−w log p). A class of large weight is then never easy, and one of small weight never hard. That is
`weights="inside"`.

It is computed from log(1 − p), so that the gradient is finite at p = 1 for γ < 1 too, where the usual form (LDAM-DRW's
and ABSGD's code) gives NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.tilted import single
from skedastic.losses.base import PerExampleLoss, log_probability, log_rest


def focal(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Return −(1 − p_y)^gamma log p_y, [B].

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    gamma : float
        How much less easy examples count, at least 0.
    """
    if gamma == 0:
        return -log_probability(logits, y)
    return -(gamma * log_rest(logits, y)).exp() * log_probability(logits, y)


def focal_of_weighted(logits: Tensor, y: Tensor, gamma: float, weight: Tensor) -> Tensor:
    """Return −(1 − p_y^w)^gamma w log p_y, [B].

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    gamma : float
        How much less easy examples count, at least 0.
    weight : Tensor
        w, the weights of the cross entropy, [B] ≥ 0.
    """
    entropy = -weight * log_probability(logits, y)
    if gamma == 0:
        return entropy
    rest = -(-entropy).expm1()
    return rest.clamp_min(torch.finfo(rest.dtype).tiny ** 0.5) ** gamma * entropy  # else no gradient where rest is 0


Weights = Literal["outside", "inside"]


@dataclass(frozen=True, kw_only=True)
class Focal(PerExampleLoss):
    """The focal loss."""

    gamma: float = setting(
        2.0, "how much less easy examples count; 0 is cross entropy, 2 the paper's, 1 LDAM's and ABSGD's", "[0, inf)"
    )
    weights: Weights = setting(
        "outside",
        "where class weights enter: outside multiplies the loss, inside the cross entropy that p is taken from (LDAM's "
        "and ABSGD's code)",
    )

    reduces_to_cross_entropy = ({"gamma": 0.0},)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        return focal(outputs, y, self.gamma)

    def weighted(self, losses: Tensor, weight: Tensor, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses [B] with the weights [B] in them, outside or inside."""
        if self.weights == "outside":
            return super().weighted(losses, weight, outputs, y)
        return focal_of_weighted(single(outputs), y, self.gamma, weight)
