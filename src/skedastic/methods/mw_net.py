"""MW-Net: a small network that learns from a reference set how to weigh an example by its loss.

Source: Shu, Xie, Yi, Zhao, Zhou, Xu, Meng, "Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting",
NeurIPS 2019, equations 3 to 5 and Algorithm 1: V(ℓ; Θ) has one hidden layer of 100 and a sigmoid. A virtual step ŵ(Θ)
= w − α (1/B) Σ V(ℓ_i; Θ) ∇ℓ_i; Θ takes a step down the loss of the reference batch at ŵ(Θ); w takes the step with the
new weights.

Compared with github.com/xjtushujun/meta-weight-net (commit 3f1800f), its one-step gradient to rounding, without its
copies of the layers: dL/dΘ = −(α/B) Σ_i ⟨∇L(ŵ), ∇ℓ_i⟩ ∂V(ℓ_i)/∂Θ (`core.meta`). As there, α is the network's current
learning rate and the virtual step is plain gradient descent, the weights are not normalized, Θ has Adam at 1e-3 with
weight decay 1e-4, and BatchNorm takes each batch's own statistics in every forward while its running ones follow the
training batch alone. There the batch is run twice at the same weights; here once, so that dropout is the same in both.
There reference batches are as large as the others; here a quarter, since m is free in Algorithm 1, a step is a fifth
faster, and nothing that we measured was worse for it (docs/results/cost.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.lookahead import stepped
from skedastic.methods.bases.card import MIXED, PERTURBED, REFERENCE, Capabilities, Card
from skedastic.methods.bases.engine import OwnOptimizer
from skedastic.methods.bases.learned_weights import LearnedWeights, Lookahead, trained_parameters
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetworkState
from skedastic.methods.bases.task import Task

Weights = Literal["learned", "random", "inverse"]


def ablated(weights: Tensor, kind: Weights) -> Tensor:
    """Return other weights of the same mean, [B]: drawn uniformly from 0 on, or the inverses (HAR, appendix C.4).

    Parameters
    ----------
    weights : Tensor
        The weights of a batch, [B] > 0.
    kind : str
        "learned" for the weights as they are, "random" or "inverse".
    """
    if kind == "learned":
        return weights
    others = torch.rand_like(weights) if kind == "random" else 1 / weights.clamp_min(torch.finfo(weights.dtype).tiny)
    return others / others.mean() * weights.mean()


class WeightNet(nn.Module):
    """V: a loss in, a weight in (0, 1) out."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())

    def forward(self, losses: Tensor) -> Tensor:
        """Map losses [B] to weights [B]."""
        weights: Tensor = self.layers(losses[:, None].to(next(self.layers.parameters()).dtype))
        return weights.squeeze(1)


class MWNetState(OneNetworkState):
    """The network, and the one that weighs."""

    def __init__(self, net: nn.Module, constants: ClassConstants, weighter: WeightNet) -> None:
        super().__init__(net, constants)
        self.weighter = weighter

    def of_examples(self) -> Iterator[nn.Module]:
        """Yield the network."""
        yield self.net


@dataclass(frozen=True, kw_only=True)
class MWNet(LearnedWeights[MWNetState]):
    """Weigh each example by a function of its loss that is learned on the reference set."""

    reference_batch: float = setting(
        0.25, "examples of a reference batch, as a share of a batch's; 1 is the authors', smaller is faster", "(0, 1]"
    )
    hidden: int = setting(100, "units of the network that weighs; 100 is the paper's", "[1, inf)")
    meta_lr: float = setting(1e-3, "its learning rate (Adam); 0.001 is the authors'", "(0, inf)")
    meta_weight_decay: float = setting(1e-4, "its weight decay", "[0, inf)")
    weights: Weights = setting(
        "learned",
        "the weights of a batch that are taken: learned; or HAR's ablations of the same mean, random and inverse",
    )

    card: ClassVar[Card] = Card(
        name="mw-net",
        title="Meta-Weight-Net: a learned function from loss to weight",
        paper="Shu et al., Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting, NeurIPS 2019",
        equations="(1/B) Σ V(ℓ_i; Θ) ℓ_i, Θ by ∂L_ref(w − α ∇Σ V ℓ)/∂Θ (eq. 3 to 5, Algorithm 1)",
        family="reweighting by learning",
        capabilities=Capabilities(
            needs=frozenset({REFERENCE}),
            incompatible_with={
                PERTURBED: "it takes gradients of the examples and of the reference set itself",
                MIXED: "it weighs an example by its loss, and a mixture's is large for being one",
            },
        ),
        never_erm="its weights are below 1, and never all equal",
        cost=(
            "3.0 × the step of plain training on ResNet-32 (two cores), 3.8 × with reference_batch=1: "
            "the virtual step, one for the reference batch, and a forward in dual numbers"
        ),
    )

    def init(self, task: Task, make_net: MakeNet) -> MWNetState:
        """Return fresh networks."""
        return MWNetState(self.network(task, make_net), self.class_constants(task), WeightNet(self.hidden))

    def param_groups(self, state: MWNetState) -> Mapping[str, list[nn.Parameter]]:
        """Return the network's parameters, and apart from them those of the one that weighs."""
        return {"main": list(state.net.parameters()), "weighter": list(state.weighter.parameters())}

    def optimizers(self) -> Mapping[str, OwnOptimizer]:
        """Return Adam, for the network that weighs."""
        return {"weighter": OwnOptimizer(self.meta_lr, self.meta_weight_decay)}

    def learned(self, lookahead: Lookahead[MWNetState]) -> Tensor:
        """Take a step on Θ, and return the new weights.

        Θ keeps its step where only the gradient of the weighted loss, which comes later, is not finite.
        """
        state, engine = lookahead.state, lookahead.engine
        parameters = trained_parameters(state)
        rate, seen = engine.rate("main"), lookahead.losses.detach()
        weights = state.weighter(seen)
        virtual = (weights.detach() * lookahead.losses).mean()
        gradients = engine.gradients(virtual, list(parameters.values()), retain_graph=True)
        _, direction = self.reference_gradients(state, stepped(parameters, gradients, rate), engine)
        by_weight = -rate / len(seen) * lookahead.products(direction)  # ∂L/∂V(ℓ_i)
        engine.update("weighter", (by_weight * weights).sum())
        with torch.no_grad():
            return ablated(state.weighter(seen), self.weights)
