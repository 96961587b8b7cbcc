"""Poly-1: −log p_y + ε (1 − p_y).

Source: Leng et al., "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", ICLR 2022,
equation 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from skedastic.configurable import setting
from skedastic.losses.base import PerExampleLoss, log_probability


def poly1(logits: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """Return −log p_y + epsilon (1 − p_y), [B].

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    epsilon : float
        ε, at least −1.
    """
    log_p = log_probability(logits, y)
    return -log_p - epsilon * log_p.expm1()


@dataclass(frozen=True, kw_only=True)
class Poly1(PerExampleLoss):
    """Cross entropy with its first polynomial coefficient moved."""

    epsilon: float = setting(
        2.0, "added to the first polynomial coefficient; 0 is cross entropy, 2 the paper's", "[-1, inf)"
    )

    reduces_to_cross_entropy = ({"epsilon": 0.0},)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        return poly1(outputs, y, self.epsilon)
