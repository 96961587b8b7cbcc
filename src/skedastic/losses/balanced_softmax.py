"""Balanced softmax: −log (n_y exp f_y / Σ_c n_c exp f_c).

Source: Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020, equation 4. It is the
logit-adjusted loss with τ = 1, published independently.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from skedastic.losses.base import PerExampleLoss
from skedastic.losses.logit_adjusted import logit_adjusted


@dataclass(frozen=True, kw_only=True)
class BalancedSoftmax(PerExampleLoss):
    """Cross entropy of a softmax in which each class counts as often as it has examples."""

    def of_classes(self, count: Tensor, transitions: Tensor | None = None) -> Tensor:
        """Return log n_c, [C]; −inf for a class without examples."""
        return count.double().log().float()

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        assert of_classes is not None
        return logit_adjusted(outputs, y, of_classes)
