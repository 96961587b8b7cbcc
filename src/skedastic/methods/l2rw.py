"""L2RW: learning to reweight examples by how much each would lower the loss of a clean reference batch.

Source: Ren, Zeng, Yang, Urtasun, "Learning to Reweight Examples for Robust Deep Learning", ICML 2018, equations 4 to 8
and Algorithm 1: with weights ε = 0 nothing is stepped, ŵ = w, and u_i = −∂L_ref/∂ε_i ∝ ⟨∇L_ref(w), ∇ℓ_i(w)⟩; then w_i
= max(u_i, 0)/(Σ_j max(u_j, 0) + δ), δ = 1 where the sum is 0, so that nothing is learned from such a batch.

Compared with github.com/uber-research/learning-to-reweight-examples (commit 0b616c9): the same weights (there, the
products by double backward; no learning rate in them either, since it cancels). BatchNorm takes each batch's own
statistics in both forwards, as there; its running ones follow the training batch alone. Its cost has weight decay in
it, which is the optimizer's here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.methods.bases.card import MIXED, PERTURBED, REFERENCE, Capabilities, Card
from skedastic.methods.bases.learned_weights import LearnedWeights, Lookahead, trained_parameters
from skedastic.methods.bases.one_network import OneNetworkState


def rectified(alignment: Tensor) -> Tensor:
    """Return max(u, 0) over its mean, [B], of alignments u [B]; all 0 where none is above 0 (eq. 7 and 8, times B)."""
    positive = alignment.clamp_min(0)
    total = positive.sum()
    return len(positive) * positive / torch.where(total > 0, total, torch.ones_like(total))


@dataclass(frozen=True, kw_only=True)
class L2RW(LearnedWeights[OneNetworkState]):
    """Weigh each example by how well its gradient agrees with that of the reference set."""

    card: ClassVar[Card] = Card(
        name="l2rw",
        title="Learning to reweight examples by a reference set",
        paper="Ren et al., Learning to Reweight Examples for Robust Deep Learning, ICML 2018",
        equations="w_i ∝ max(⟨∇L_ref, ∇ℓ_i⟩, 0) (eq. 5 to 8, Algorithm 1)",
        family="reweighting by learning",
        capabilities=Capabilities(
            needs=frozenset({REFERENCE}),
            incompatible_with={
                PERTURBED: "it takes gradients of the examples and of the reference set itself",
                MIXED: "it tells by its gradient whether a label is wrong, and a mixture has two",
            },
        ),
        never_erm="weights are learned from scratch for every batch, and are never all equal",
        cost=(
            "3.2 × the step of plain training on ResNet-32 (two cores): a step for the reference batch, and a forward "
            "in dual numbers"
        ),
    )

    def learned(self, lookahead: Lookahead[OneNetworkState]) -> Tensor:
        """Return the weights of eq. 8, times B, computed before the step's own forward: no graph waits meanwhile."""
        state = lookahead.state
        _, direction = self.reference_gradients(state, trained_parameters(state), lookahead.engine)
        return rectified(lookahead.products(direction))
