"""HAR: heteroskedastic adaptive regularization.

Source: Cao, Chen, Lu, Arechiga, Gaidon, Ma, "Heteroskedastic and Imbalanced Deep Learning with Adaptive
Regularization", ICLR 2021, Algorithm 1: minimize (1/n) Σ_i (ℓ_i + λ τ_g(i) R_i) (eq. 6), where
τ_g ∝ Î_g^{3/5} q̂_g^{-2/5} grows with the noise Î_g and the rarity of the group of example i (section 2.2), and R_i is
the norm of the Jacobian of its loss with respect to the hidden activations (section 2.3, `skedastic.core.jacobian`).
Real targets: the paper's I = 1 is noise="unit"; "estimated" takes the variance of each group (`core.strengths`, ours).

Where the authors' code (github.com/kaidic/HAR, commit 188a463) differs from the paper, the paper is the default and
the code is an option: norm="layers", affine="before", reduction="mean", taps=("layer*.bn?",). Its strength 10 at batch size 128 with
reduction="mean" is 10/128 here; the paper's "largest enforced strength" is 0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from skedastic.core.jacobian import Gradient, JacobianPenalty, Norm, Reduction
from skedastic.core.strengths import strengths
from skedastic.core.taps import Affine, find_taps, record
from skedastic.errors import UserError, suggestion
from skedastic.losses import PerExampleLoss
from skedastic.losses.auto import Auto
from skedastic.methods.base import LOSSES, Batch, Card, Clock, Loss, Method, Out, State, Task, outputs

Weighting = Literal["adaptive", "uniform"]
Noise = Literal["estimated", "unit"]


class HARState(State):
    """The network, and the enforced strength λτ_g of each group."""

    strength: Tensor

    def __init__(self, net: nn.Module, strength: Tensor) -> None:
        super().__init__(net)
        self.register_buffer("strength", strength)  # [G]


@dataclass(frozen=True, kw_only=True)
class HAR(Method):
    """Regularize each group by the noise and the rarity that were estimated for it."""

    strength: float = 0.1
    weighting: Weighting = "adaptive"
    noise: Noise = "estimated"
    gradient: Gradient = "implicit"
    norm: Norm = "joint"
    affine: Affine = "after"
    reduction: Reduction = "sum"
    step_size: float = 0.01
    taps: tuple[str, ...] | None = None
    loss_function: PerExampleLoss = field(default_factory=Auto)

    card: ClassVar[Card] = Card(
        name="har",
        title="Heteroskedastic adaptive regularization",
        paper="Cao et al., Heteroskedastic and Imbalanced Deep Learning with Adaptive Regularization, ICLR 2021",
        equations="(1/B) Σ (ℓ_i + λ τ_g R_i), τ_g ∝ I_g^(3/5) q_g^(-2/5) (eq. 5-7, Algorithm 1)",
        needs=frozenset({"group_stats"}),
        supports=frozenset({"classification", "regression"}),
        limits=({"strength": 0.0}, {"strength": 0.0, "gradient": "exact"}, {"strength": 0.0, "weighting": "uniform"}),
        presets={"unif": {"weighting": "uniform"}, "har-unit": {"noise": "unit"}},
        parameters={
            "strength": "largest enforced λτ_g, in units of the loss's gradient norm; ≥ 0, and 0 is plain training",
            "weighting": "adaptive: λτ_g by noise and rarity; uniform: the same strength on everyone",
            "noise": "estimated: of each group; unit: the same everywhere, so that rarity alone counts, τ ∝ q^(-2/5)",
            "gradient": "implicit (no double backward), exact (double backward) or finite (difference of step_size)",
            "norm": "joint: (Σ_j ‖J_j‖²)^(1/2), the paper; layers: Σ_j ‖J_j‖, the authors' code",
            "affine": "measure after or before the affine part of normalization layers (the authors' code: before)",
            "reduction": "J of the batch's sum (R does not depend on B) or mean (the authors' code)",
            "step_size": "ε of gradient=finite, > 0",
            "taps": "names or patterns of the modules to measure at; default all normalization layers",
            "loss_function": LOSSES,
        },
        cost="about 1.7 × the step of plain training (exact: 4 ×), plus the estimate",
    )

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf"):
            raise UserError(
                f"HAR(strength={self.strength}): strength must be finite and at least 0; 0 is plain training"
            )
        if not 0 < self.step_size < float("inf"):
            raise UserError(f"HAR(step_size={self.step_size}): step_size must be above 0; 0.01 is a good start")
        for name, choices in (
            ("weighting", Weighting),
            ("noise", Noise),
            ("gradient", Gradient),
            ("norm", Norm),
            ("affine", Affine),
            ("reduction", Reduction),
        ):
            value, known = getattr(self, name), get_args(choices)
            if value not in known:
                raise UserError(
                    f"HAR({name}={value!r}): {name} must be one of {', '.join(known)}{suggestion(str(value), known)}"
                )

    @property
    def needs(self) -> frozenset[str]:
        """Group statistics, unless everyone is regularized alike or the groups' rarity alone counts."""
        return self.card.needs if (self.weighting, self.noise) == ("adaptive", "estimated") else frozenset()

    @property
    def penalty(self) -> JacobianPenalty:
        """How R and its gradient are computed."""
        return JacobianPenalty(
            gradient=self.gradient, norm=self.norm, affine=self.affine, reduction=self.reduction, step=self.step_size
        )

    def group_strengths(self, task: Task) -> Tensor:
        """Return the enforced strength λτ_g of each group, [G], the largest being `strength`."""
        if self.weighting == "uniform":
            return torch.full((len(task.groups),), self.strength)
        if self.noise == "unit":
            return self.strength * strengths(torch.ones_like(task.density), task.density).float()
        if task.stats is None:
            raise UserError(
                "HAR needs an estimate of each group's noise and density: task.stats is None; run estimate first"
            )
        return self.strength * task.stats.strengths.float()

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> HARState:
        """Return a fresh network with the strengths of the task's groups."""
        net = make_net()
        find_taps(net, self.taps)  # a network that can't be tapped is refused before the first step
        return HARState(net, self.group_strengths(task))

    def forward(self, state: State, batch: Batch) -> Out:
        """Run the network, recording where the Jacobian is measured."""
        with record(state.net, find_taps(state.net, self.taps), self.affine) as trace:
            return Out(outputs(state.net(batch.x)), trace)

    def loss(self, state: State, batch: Batch, out: Out, clock: Clock) -> Loss:
        """Return eq. 6 on the batch."""
        assert isinstance(state, HARState)
        penalized = self.penalty(
            self.loss_function(out.logits, batch.y),
            out.extra,
            lambda: self.loss_function(outputs(state.net(batch.x)), batch.y),
            state.strength[batch.group],
        )
        return Loss(penalized.total, penalized.per_example, {"jacobian_norm": penalized.norm})
