"""CVaR: the mean of the worst fraction α of each batch's losses.

Source: Rockafellar and Uryasev, "Optimization of Conditional Value-at-Risk", 2000; as a training objective Levy et al.,
"Large-Scale Methods for Distributionally Robust Optimization", NeurIPS 2020, section 2 (their batch estimator, biased for small
batches): max over p in the simplex with p_i ≤ 1/(αB) of Σ p_i ℓ_i. The worst get weight 1/α, the example on the edge what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from skedastic.core.tilted import single
from skedastic.errors import UserError
from skedastic.methods.bases.method import Batch, Card, Clock
from skedastic.methods.bases.one_network import AXES, Reweighting


def cvar_weights(losses: Tensor, alpha: float) -> Tensor:
    """Return the weights [B], in [0, 1/alpha] with mean 1, of losses [B] whose largest alpha·B count; alpha in (0, 1]."""
    losses = single(losses)
    worst = losses.argsort(descending=True, stable=True)
    tail = alpha * len(losses)
    share = (tail - torch.arange(len(losses), dtype=losses.dtype, device=losses.device)).clamp(0, 1) / alpha
    return torch.empty_like(losses).scatter_(0, worst, share)


@dataclass(frozen=True, kw_only=True)
class CVaR(Reweighting):
    """Train on the largest losses of each batch."""

    alpha: float = 0.5

    card: ClassVar[Card] = Card(
        name="cvar",
        title="Conditional value at risk: the worst fraction of each batch",
        paper="Rockafellar and Uryasev 2000; Levy et al., Large-Scale Methods for DRO, NeurIPS 2020",
        equations="max Σ p_i ℓ_i, p_i ≤ 1/(αB) (Levy et al., eq. 2)",
        family="instance weights",
        supports=frozenset({"classification", "regression"}),
        reduces_to_erm=({"alpha": 1.0},),
        parameters={**AXES, "alpha": "the fraction of the batch that counts, in (0, 1]; 1 is plain training"},
        cost="1.0 × the step of plain training",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.alpha <= 1:
            raise UserError(
                f"CVaR(alpha={self.alpha}): alpha, the fraction of the batch that counts, must be in (0, 1]"
            )

    def instance_weights(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> Tensor | None:
        """Return 1/α for the worst αB, 0 for the others."""
        return cvar_weights(losses, self.alpha) if self.alpha < 1 else None
