"""Generalized cross entropy, (1 − p_y^q)/q, whole or truncated.

Source: Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
NeurIPS 2018, equations 6 and 9.

q → 0 is cross entropy; q = 1 is 1 − p_y, half the mean absolute error Σ_c |t_c − p_c|. Truncated (TCE), an example
whose p_y is at most k has the loss (1 − k^q)/q and no gradient: it is left out for as long as the network does not
believe its label. At the start that is everyone, so the paper begins without truncation, as the preset tce does.

The known code, by A. Chou and unofficial (github.com/AlanChou/Truncated-Loss), decides who is left out every ten epochs
from the 40th on, by the network that was best on the test set so far, and subtracts (1 − k^q)/q, which changes no
gradient. Here every step decides it, equation 9 as it stands, and the test set has no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from torch import Tensor

from skedastic.configurable import setting
from skedastic.losses.base import PerExampleLoss, log_probability


def gce(logits: Tensor, y: Tensor, q: float, truncation: float = 0.0) -> Tensor:
    """Return (1 − max(p_y, truncation)^q)/q, [B]; −log max(…) where q is 0.

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    q : float
        In [0, 1].
    truncation : float
        k, in [0, 1); 0 truncates nothing.
    """
    log_p = log_probability(logits, y)
    if truncation > 0:
        log_p = log_p.clamp_min(log(truncation))
    return -log_p if q == 0 else -(q * log_p).expm1() / q


@dataclass(frozen=True, kw_only=True)
class GCE(PerExampleLoss):
    """Generalized cross entropy."""

    q: float = setting(0.7, "0 is cross entropy, 1 the absolute error; 0.7 is usual", "[0, 1]")
    truncation: float = setting(
        0.0, "examples whose label is at most as probable are left out (k); 0 is none, 0.5 the paper's", "[0, 1)"
    )

    reduces_to_cross_entropy = ({"q": 0.0}, {"q": 1e-7})

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], in [0, 1/q]."""
        return gce(outputs, y, self.q, self.truncation)
