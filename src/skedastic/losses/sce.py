"""Symmetric cross entropy, α·CE + β·RCE (Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV
2019, equation 7).

The reverse cross entropy is −Σ_c p_c log t_c with log 0 := A, a constant below 0, hence −A (1 − p_y). The paper leaves A
open, with −4 in its analysis; the authors' code clips t at 1e-4, which is A = −9.21 (`log_zero=-9.21`), and p at 1e-7, which is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from skedastic.errors import UserError
from skedastic.losses.base import PerExampleLoss, log_probability


def sce(logits: Tensor, y: Tensor, alpha: float, beta: float, log_zero: float) -> Tensor:
    """Return −alpha log p_y − beta log_zero (1 − p_y), [B], of logits [B, C] and labels y [B] int64."""
    log_p = log_probability(logits, y)
    return -alpha * log_p + beta * log_zero * log_p.expm1()


@dataclass(frozen=True, kw_only=True)
class SCE(PerExampleLoss):
    """Symmetric cross entropy. alpha, beta: ≥ 0, not both 0 (CIFAR-10: 0.1 and 1); log_zero: A < 0."""

    alpha: float = 0.1
    beta: float = 1.0
    log_zero: float = -4.0

    limits = ({"alpha": 1.0, "beta": 0.0},)

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"sce({name}={getattr(self, name)}): {name} must be finite and at least 0")
        if self.alpha == self.beta == 0:
            raise UserError("sce(alpha=0, beta=0): nothing would be trained; one of them must be above 0")
        if not float("-inf") < self.log_zero < 0:
            raise UserError(f"sce(log_zero={self.log_zero}): log_zero must be finite and below 0, such as -4")

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        return sce(outputs, y, self.alpha, self.beta, self.log_zero)
