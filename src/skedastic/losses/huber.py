"""Huber's loss (Huber, "Robust Estimation of a Location Parameter", 1964, equation 2.3): squared near 0, then absolute.

ℓ(r) = ½ r²  where |r| ≤ δ,  δ (|r| − ½ δ)  beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from skedastic.configurable import setting
from skedastic.losses.base import PerExampleLoss


def huber(outputs: Tensor, y: Tensor, delta: float) -> Tensor:
    """Return ½ r² where r = y − outputs is in ±delta, and delta (|r| − ½ delta) elsewhere, [B].

    Parameters
    ----------
    outputs : Tensor
        Predictions, [B].
    y : Tensor
        Targets, [B].
    delta : float
        δ, above 0, in the targets' units.
    """
    return F.huber_loss(outputs, y, reduction="none", delta=delta)


@dataclass(frozen=True, kw_only=True)
class Huber(PerExampleLoss):
    """Huber's loss."""

    delta: float = setting(
        1.0,
        "error from which on the loss is absolute, in deviations of the target; small is near the absolute error, "
        "large the squared one; 1 is usual",
        "(0, inf)",
    )

    supports: ClassVar[frozenset[str]] = frozenset({"regression"})

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        return huber(outputs, y, self.delta)
