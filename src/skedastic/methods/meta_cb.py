"""Meta class-balanced: weights of classes, and of each example a correction learned from a balanced reference set.

Source: Jamal, Brown, Yang, Wang, Gong, "Rethinking Class-Balanced Methods for Long-Tailed Visual Recognition from a
Domain Adaptation Perspective", CVPR 2020, equation 5 and Algorithm 1 ("META" in ABSGD's tables): after plain training,
minimize (1/B) Σ (w_{y_i} + ε_i) ℓ_i, w the class-balanced weights of Cui et al. 2019, and ε_i = −τ ∂L/∂ε_i at ε = 0, L
the loss of the reference batch after a virtual step by those weights: ε_i = τ (α/B) ⟨∇L(ŵ), ∇ℓ_i⟩.

Compared with github.com/abdullahjamal/Longtail_DA (commit 0193518): the same, but that its virtual step is down the
sum over the batch, where the real one is down the mean; here both are down the mean, and its τ of 0.01 is ours of 1 at
its batches of 100. At that τ, ε is of the order of a thousandth of w, and hardly does a thing, there as here: the
gain comes from w. As there, ε begins at 0 for every batch, α is the network's learning rate, BatchNorm takes each
batch's own statistics, and plain training ends with the first drop of the learning rate. Ours: a weight w + ε below 0
counts as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.class_weights import ClassWeights, Deferred
from skedastic.core.lookahead import stepped
from skedastic.errors import UserError
from skedastic.methods.bases.card import CLASSIFICATION, MIXED, PERTURBED, REFERENCE, Capabilities, Card
from skedastic.methods.bases.learned_weights import LearnedWeights, Lookahead, trained_parameters
from skedastic.methods.bases.one_network import OneNetworkState


@dataclass(frozen=True, kw_only=True)
class MetaCB(LearnedWeights[OneNetworkState]):
    """Weigh classes by their counts, and each example by a correction from a balanced reference set."""

    class_weights: ClassWeights | None = setting(
        factory=Deferred,
        meaning="w, as elsewhere; until they begin, training is plain. They must be there",
    )
    meta_lr: float = setting(
        1.0, "τ, of ε; 0 is class weights alone, 1 the authors', 1000 makes ε as large as w", "[0, inf)"
    )

    card: ClassVar[Card] = Card(
        name="meta-cb",
        title="Class-balanced weights, corrected for each example by a reference set",
        paper="Jamal et al., Rethinking Class-Balanced Methods for Long-Tailed Visual Recognition, CVPR 2020",
        equations="(w_y + ε_i) ℓ_i, ε_i = −τ ∂L_ref(w − α ∇Σ(w_y + ε) ℓ/B)/∂ε_i (eq. 5, Algorithm 1)",
        family="reweighting by learning",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            needs=frozenset({REFERENCE}),
            incompatible_with={
                PERTURBED: "it takes gradients of the examples and of the reference set itself",
                MIXED: "it corrects the weight of a label by its gradient, and a mixture has two",
            },
        ),
        never_erm="the weights of classes are none where all are as frequent, but ε is never 0",
        cost="3.9 × the step of plain training on ResNet-32 (two cores) where weights are in force, with the "
        "defaults a third of the epochs; else 1.0 ×",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights is None:
            rule = "it corrects the weights of classes; take effective-number, or mw-net"
            raise UserError(rule, setting=self.place("class_weights"), value="none")

    def learned(self, lookahead: Lookahead[OneNetworkState]) -> Tensor:
        """Return (w + ε)/w: the losses have w in them already. All 1 while training is plain."""
        state, engine = lookahead.state, lookahead.engine
        w = self.class_weight(state, lookahead.batch.y, lookahead.clock)
        if w is None:
            return torch.ones_like(lookahead.losses)
        parameters, rate = trained_parameters(state), engine.rate("main")
        gradients = engine.gradients(lookahead.losses.mean(), list(parameters.values()), retain_graph=True)
        _, direction = self.reference_gradients(state, stepped(parameters, gradients, rate), engine)
        epsilon = self.meta_lr * rate / len(w) * lookahead.products(direction) / w
        return (1 + epsilon / w).clamp_min(0)
