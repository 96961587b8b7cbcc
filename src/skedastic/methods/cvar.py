"""CVaR: the mean of the worst fraction α of each batch's losses.

Source: Rockafellar and Uryasev, "Optimization of Conditional Value-at-Risk", 2000; as a training objective Levy et
al., "Large-Scale Methods for Distributionally Robust Optimization", NeurIPS 2020, section 2 (their batch estimator,
biased for small batches): max over p in the simplex with p_i ≤ 1/(αB) of Σ p_i ℓ_i. The worst get weight 1/α, the
example on the edge the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.tilted import single
from skedastic.methods.bases.card import Card
from skedastic.methods.bases.one_network import OneNetworkState
from skedastic.methods.bases.reweighting import Reweighting
from skedastic.methods.bases.step import Step


def cvar_weights(losses: Tensor, alpha: float) -> Tensor:
    """Return weights [B] in [0, 1/alpha] with mean 1: of losses [B] the largest alpha·B count; alpha in (0, 1]."""
    losses = single(losses)
    worst = losses.argsort(descending=True, stable=True)
    tail = alpha * len(losses)
    share = (tail - torch.arange(len(losses), dtype=losses.dtype, device=losses.device)).clamp(0, 1) / alpha
    return torch.empty_like(losses).scatter_(0, worst, share)


@dataclass(frozen=True, kw_only=True)
class CVaR(Reweighting[OneNetworkState]):
    """Train on the largest losses of each batch."""

    alpha: float = setting(0.5, "the fraction of the batch that counts; 1 is plain training", "(0, 1]")

    card: ClassVar[Card] = Card(
        name="cvar",
        title="Conditional value at risk: the worst fraction of each batch",
        paper="Rockafellar and Uryasev 2000; Levy et al., Large-Scale Methods for DRO, NeurIPS 2020",
        equations="max Σ p_i ℓ_i, p_i ≤ 1/(αB) (Levy et al., eq. 2)",
        family="instance weights",
        reduces_to_erm=({"alpha": 1.0},),
        cost="1.0 × the step of plain training",
    )

    def instance_weights(self, step: Step[OneNetworkState], losses: Tensor) -> Tensor | None:
        """Return 1/α for the worst αB, 0 for the others."""
        return cvar_weights(losses, self.alpha) if self.alpha < 1 else None
