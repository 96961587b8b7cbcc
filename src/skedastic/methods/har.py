"""HAR: heteroskedastic adaptive regularization.

Source: Cao, Chen, Lu, Arechiga, Gaidon, Ma, "Heteroskedastic and Imbalanced Deep Learning with Adaptive
Regularization", ICLR 2021, Algorithm 1: minimize (1/n) Σ_i (ℓ_i + λ τ_g(i) R_i) (eq. 6), where
τ_g ∝ Î_g^{3/5} q̂_g^{-2/5} grows with the noise Î_g and the rarity of the group of example i (section 2.2), and R_i is
the norm of the Jacobian of its loss with respect to the hidden activations (section 2.3, `skedastic.core.jacobian`).
Real targets: the paper's I = 1 is noise="unit"; "estimated" takes the variance of each group (`core.strengths`, ours).

Where the authors' code (github.com/kaidic/HAR, commit 188a463) differs from the paper, the paper is the default and
the code is an option: norm="layers", affine="before", reduction="mean", taps=("layer*.bn?",). Its strength 10 at batch
size 128 with reduction="mean" is 10/128 here; the paper's "largest enforced strength" is 0.1.

Ours: with `select="auto"` nothing is enforced on groups whose λτ_g is below a tenth of the largest, so that only the
others take the second pass (`skedastic.core.selection`); `select=1.0` is the paper's sum over everyone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from skedastic.core.class_weights import EffectiveNumber
from skedastic.core.compiled import uncompiled
from skedastic.core.jacobian import Gradient, JacobianPenalty, Norm, Reduction
from skedastic.core.selection import Selection, Share
from skedastic.core.strengths import inverse_strengths, random_strengths, strengths
from skedastic.core.taps import Affine, Choice, find_taps
from skedastic.errors import UserError, suggestion
from skedastic.losses import PerExampleLoss
from skedastic.losses.auto import Auto
from skedastic.methods.base import LOSSES, Batch, Card, Clock, Loss, Method, Out, State, Task, outputs

Weighting = Literal["adaptive", "uniform", "random", "inverse"]
Noise = Literal["estimated", "unit"]
NOT_ENFORCED_BELOW = 0.1  # of the largest λτ_g, with select="auto"


class HARState(State):
    """The network, the enforced strength λτ_g of each group, and the weight of each class."""

    strength: Tensor
    class_weight: Tensor

    def __init__(self, net: nn.Module, strength: Tensor, class_weight: Tensor) -> None:
        super().__init__(net)
        self.register_buffer("strength", strength)  # [G]
        self.register_buffer("class_weight", class_weight)  # [C]


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
    select: Share = "auto"
    selection: Selection = "largest"
    taps: tuple[str, ...] | Choice | None = None
    class_weights: EffectiveNumber | None = None
    loss_function: PerExampleLoss = field(default_factory=Auto)

    card: ClassVar[Card] = Card(
        name="har",
        title="Heteroskedastic adaptive regularization",
        paper="Cao et al., Heteroskedastic and Imbalanced Deep Learning with Adaptive Regularization, ICLR 2021",
        equations="(1/B) Σ (ℓ_i + λ τ_g R_i), τ_g ∝ I_g^(3/5) q_g^(-2/5) (eq. 5-7, Algorithm 1)",
        needs=frozenset({"group_stats"}),
        supports=frozenset({"classification", "regression"}),
        limits=({"strength": 0.0}, {"strength": 0.0, "gradient": "exact"}, {"strength": 0.0, "weighting": "uniform"}),
        presets={
            "unif": {"weighting": "uniform"},
            "har-unit": {"noise": "unit"},
            "har-drw": {"class_weights": EffectiveNumber(start=2 / 3)},
            "har-random": {"weighting": "random"},
            "har-inverse": {"weighting": "inverse"},
        },
        parameters={
            "strength": "largest enforced λτ_g, in units of the loss's gradient norm; ≥ 0, and 0 is plain training",
            "weighting": "adaptive: λτ_g by noise and rarity; uniform: the same strength on everyone; random, inverse: "
            "ablations that regularize the wrong groups, as much on average (appendix C.4)",
            "noise": "estimated: of each group; unit: the same everywhere, so that rarity alone counts, τ ∝ q^(-2/5)",
            "gradient": "implicit (no double backward), exact (double backward) or finite (difference of step_size)",
            "norm": "joint: (Σ_j ‖J_j‖²)^(1/2), the paper; layers: Σ_j ‖J_j‖, the authors' code",
            "affine": "measure after or before the affine part of normalization layers (the authors' code: before)",
            "reduction": "J of the batch's sum (R does not depend on B) or mean (the authors' code)",
            "step_size": "ε of gradient=finite, > 0",
            "select": "of gradient=implicit, who takes the second pass: auto, the groups with at least a tenth of the "
            "strength; or a share of the batch in (0, 1], 1.0 being everyone",
            "selection": "which share: largest strengths, or drawn in proportion to them (unbiased)",
            "taps": "names or patterns of the modules to measure at, or a function (name, module) -> bool; default all "
            "normalization and recurrent layers, else every hidden layer",
            "class_weights": "weigh the losses of classes by the effective number of their examples: beta in [0, 1), "
            "from the fraction start of the epochs on (HAR-DRW: 2/3)",
            "loss_function": LOSSES,
        },
        cost="a step of plain training times 1 + 2 × the share of examples that take the second pass, at most about "
        "1.7 (exact: 3 to 4), plus the estimate",
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
            ("selection", Selection),
        ):
            value, known = getattr(self, name), get_args(choices)
            if value not in known:
                raise UserError(
                    f"HAR({name}={value!r}): {name} must be one of {', '.join(known)}{suggestion(str(value), known)}"
                )
        _ = self.penalty  # refuses what does not go together

    @property
    def needs(self) -> frozenset[str]:
        """Group statistics, unless everyone is regularized alike or the groups' rarity alone counts."""
        return frozenset() if self.weighting == "uniform" or self.noise == "unit" else self.card.needs

    @property
    def supports(self) -> frozenset[str]:
        """Real targets too, unless classes are weighted."""
        return self.card.supports if self.class_weights is None else frozenset({"classification"})

    @property
    def penalty(self) -> JacobianPenalty:
        """How R and its gradient are computed."""
        return JacobianPenalty(
            gradient=self.gradient,
            norm=self.norm,
            affine=self.affine,
            reduction=self.reduction,
            step=self.step_size,
            select=self.select,
            selection=self.selection,
        )

    def group_strengths(self, task: Task) -> Tensor:
        """Return the enforced strength λτ_g of each group, [G]; adaptive, the largest is `strength`."""
        if self.weighting == "uniform":
            return torch.full((len(task.groups),), self.strength)
        tau, density = self._relative(task), task.density
        if self.weighting == "random":
            tau = random_strengths(tau, density, task.seed)
        elif self.weighting == "inverse":
            tau = inverse_strengths(tau, density)
        enforced = self.strength * tau
        if self.select == "auto":
            enforced = enforced.masked_fill(enforced < NOT_ENFORCED_BELOW * enforced.max(), 0.0)
        return enforced.float()

    def _relative(self, task: Task) -> Tensor:
        """Return τ [G] in [0, 1], the largest 1."""
        if self.noise == "unit":
            return strengths(torch.ones_like(task.density), task.density)
        if task.stats is None:
            raise UserError(
                "HAR needs an estimate of each group's noise and density: task.stats is None; run estimate first"
            )
        if task.stats.names != task.groups:
            raise UserError(
                f"HAR: the estimate is of {len(task.stats.names)} groups ({', '.join(task.stats.names[:6])}, …) and the "
                f"data have {len(task.groups)} ({', '.join(task.groups[:6])}, …); estimate on the same groups"
            )
        return task.stats.strengths

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> HARState:
        """Return a fresh network with the strengths of the task's groups."""
        net = make_net()
        find_taps(uncompiled(net), self.taps)  # a network that can't be tapped is refused before the first step
        weight = torch.ones(len(task.classes))
        if self.class_weights is not None:
            weight = self.class_weights(torch.bincount(task.y, minlength=len(weight)))
        return HARState(net, self.group_strengths(task), weight)

    def forward(self, state: State, batch: Batch) -> Out:
        """Run the network, recording where the Jacobian is measured."""
        assert isinstance(state, HARState)
        taps = find_taps(uncompiled(state.net), self.taps)
        found, trace = self.penalty.record(state.net, batch.x, taps, state.strength[batch.group])
        return Out(outputs(found), trace)

    def loss(self, state: State, batch: Batch, out: Out, clock: Clock) -> Loss:
        """Return eq. 6 on the batch."""
        assert isinstance(state, HARState)
        weighted = self.class_weights is not None and clock.epoch >= self.class_weights.start * clock.epochs
        weight = state.class_weight[batch.y] if weighted else torch.ones((), device=batch.y.device)

        def losses(found: Tensor, rows: Tensor | None) -> Tensor:
            if rows is None:
                return self.loss_function(outputs(found), batch.y) * weight
            return self.loss_function(outputs(found), batch.y[rows]) * (weight[rows] if weighted else weight)

        plain = self.loss_function(out.logits, batch.y)
        penalized = self.penalty(plain * weight, out.extra, losses)
        measured = penalized.norm[~penalized.norm.isnan()]
        return Loss(penalized.total, plain.detach(), {"jacobian_norm": measured})
