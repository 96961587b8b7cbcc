"""Symmetric cross entropy, α·CE + β·RCE.

Source: Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019, equation 7.

The reverse cross entropy is −Σ_c p_c log t_c with log 0 := A, a constant below 0, hence −A (1 − p_y). The paper leaves
A open, with −4 in its analysis. The authors' code clips t at 1e-4, which is A = −9.21 (`log_zero=-9.21`); it also clips
p at 1e-7, which this code does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from skedastic.configurable import setting
from skedastic.errors import UserError
from skedastic.losses.base import PerExampleLoss, log_probability


def sce(logits: Tensor, y: Tensor, alpha: float, beta: float, log_zero: float) -> Tensor:
    """Return −alpha log p_y − beta log_zero (1 − p_y), [B].

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    alpha, beta : float
        Weights of the cross entropy and of the reverse one, at least 0.
    log_zero : float
        A, below 0.
    """
    log_p = log_probability(logits, y)
    return -alpha * log_p + beta * log_zero * log_p.expm1()


@dataclass(frozen=True, kw_only=True)
class SCE(PerExampleLoss):
    """Symmetric cross entropy. One of `alpha` and `beta` must be above 0."""

    alpha: float = setting(0.1, "weight of the cross entropy; 0.1 for CIFAR-10", "[0, inf)")
    beta: float = setting(1.0, "weight of the reverse cross entropy; 1 for CIFAR-10", "[0, inf)")
    log_zero: float = setting(-4.0, "A, the value of log 0, such as -4", "(-inf, 0)")

    reduces_to_cross_entropy = ({"alpha": 1.0, "beta": 0.0},)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha == self.beta == 0:
            rule = "must be above 0 where beta is 0; nothing would be trained"
            raise UserError(rule, setting=self.place("alpha"), value=0)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        return sce(outputs, y, self.alpha, self.beta, self.log_zero)
