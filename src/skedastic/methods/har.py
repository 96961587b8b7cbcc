"""HAR: heteroskedastic adaptive regularization.

Source: Cao, Chen, Lu, Arechiga, Gaidon, Ma, "Heteroskedastic and Imbalanced Deep Learning with Adaptive
Regularization", ICLR 2021, Algorithm 1: minimize (1/n) Σ_i (ℓ_i + λ τ_g(i) R_i) (eq. 6), where
τ_g ∝ Î_g^{3/5} q̂_g^{-2/5} grows with the noise Î_g and the rarity of the group of example i (section 2.2), and R_i is
the norm of the Jacobian of its loss with respect to the hidden activations (section 2.3, `skedastic.core.jacobian`).
Real targets: the paper's I = 1 is noise="unit"; "estimated" takes the variance of each group (`core.strengths`, ours).

Where the authors' code (github.com/kaidic/HAR, commit 188a463) differs from the paper, the paper is the default and
the code is an option: norm="layers", affine="before", reduction="mean" (the named method `har-code`), and on their
ResNet-32 taps=("layer*.bn?",). The unit of λ is that of 1/R, and so follows from these. With reduction="mean" R_i is
a B-th of what it is with "sum", so that the code's strength 10 at B = 128 is 10/128 = 0.078, which the paper rounds to
0.1. With norm="layers" R_i is between 1 and √L times the joint norm of L layers, about 4 times on ResNet-32.

`strength="auto"` is ours: the strength falls while the network trains, for as long as some group is fit worse than its
noise allows; where that never ends, training begins from scratch with a tenth of it, and then without
(`skedastic.core.annealing`, docs/guide/strength.md).

Ours: with `select="auto"` nothing is enforced on groups whose λτ_g is below a fifth of the largest. In networks without
BatchNorm only the others then take the second pass (`skedastic.core.selection`). `select=1.0` is the paper's sum over
everyone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.annealing import START, WEAKER, annealed, exhausted
from skedastic.core.jacobian import Gradient, JacobianPenalty, Norm, Reduction
from skedastic.core.selection import Selection, Share
from skedastic.core.strengths import GroupStats, inverse_strengths, random_strengths, strengths
from skedastic.core.taps import Affine, Choice, find_taps
from skedastic.core.unwrap import uncompiled
from skedastic.errors import UserError
from skedastic.methods.bases.card import CLASSIFICATION, GROUP_STATS, MIXED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Stage
from skedastic.methods.bases.one_network import ClassConstants, OneNetwork, OneNetworkState
from skedastic.methods.bases.step import Batch, Clock, Objective, Out, Step, outputs
from skedastic.methods.bases.task import Task

Weighting = Literal["adaptive", "uniform", "random", "inverse"]
Noise = Literal["estimated", "unit"]
BY_ESTIMATE = Capabilities(needs=frozenset({GROUP_STATS}))
COUNTING = BY_ESTIMATE & Capabilities(
    tasks=CLASSIFICATION,
    incompatible_with={MIXED: "strength=auto counts errors, and a mixture has two labels; give a number"},
)
NOT_ENFORCED_BELOW = 0.2  # of the largest λτ_g, with select="auto"
BEGUN_FROM_SCRATCH = (
    "strength=auto began from scratch with a tenth of the strength: with more, some group was fit worse than its "
    "noise allows for too long. More epochs, or a network that learns faster, would spare that."
)
NONE_ALLOWED = (
    "strength=auto found none: at every one that it tried, some group was fit worse than its noise allows. The "
    "network was trained without; with more epochs, or a network that learns faster, there may be one."
)


class HARState(OneNetworkState):
    """The network, the constants of its loss, and the enforced strength λτ_g of each group."""

    strength: Tensor

    def __init__(self, net: nn.Module, constants: ClassConstants, strength: Tensor) -> None:
        super().__init__(net, constants)
        self.register_buffer("strength", strength)  # [G]
        self.on_host = strength.cpu().clone()  # [G], as it is now, on the CPU; later it is the same up to a factor


class AnnealingState(HARState):
    """A state whose strengths fall, as long as a group errs on more of its labels than is allowed."""

    level: Tensor
    relative: Tensor
    allowed: Tensor
    wrong: Tensor
    seen: Tensor

    def __init__(
        self, net: nn.Module, constants: ClassConstants, strength: Tensor, start: float, allowed: Tensor
    ) -> None:
        super().__init__(net, constants, strength)
        self.register_buffer("level", torch.tensor(float(start)))  # λ
        self.register_buffer("relative", strength / start)  # τ [G]
        self.register_buffer("allowed", allowed.float())  # [G]
        self.register_buffer("wrong", torch.zeros_like(strength))  # [G] in this epoch, so far
        self.register_buffer("seen", torch.zeros_like(strength))  # [G]


@dataclass(frozen=True, kw_only=True)
class HAR(OneNetwork[HARState]):
    """Regularize each group by the noise and the rarity that were estimated for it."""

    strength: float | Literal["auto"] = setting(
        0.1,
        "largest enforced λτ_g, in units of 1/R as norm and reduction have it: with reduction=mean s at batch size B "
        "is s/B with sum; 0 is plain training; or auto: it falls until every group is fit as well as its noise allows, "
        "and then stays",
        "[0, inf)",
    )
    start: float = setting(
        START,
        "of strength=auto, λ at the outset; where it falls below a hundredth, training begins from scratch with a "
        "tenth of it, and if that is too much as well, without",
        "(0, inf)",
    )
    weighting: Weighting = setting(
        "adaptive",
        "adaptive: λτ_g by noise and rarity; uniform: the same strength on everyone; random, inverse: ablations that "
        "regularize the wrong groups, as much on average (appendix C.4)",
    )
    noise: Noise = setting(
        "estimated", "estimated: of each group; unit: the same everywhere, so that rarity alone counts, τ ∝ q^(-2/5)"
    )
    gradient: Gradient = setting(
        "implicit", "implicit (no double backward), exact (double backward) or finite (difference of step_size)"
    )
    norm: Norm = setting("joint", "joint: (Σ_j ‖J_j‖²)^(1/2), the paper; layers: Σ_j ‖J_j‖, the authors' code")
    affine: Affine = setting(
        "after", "measure after or before the affine part of normalization layers (the authors' code: before)"
    )
    reduction: Reduction = setting("sum", "J of the batch's sum (R does not depend on B) or mean (the authors' code)")
    step_size: float = setting(0.01, "ε of gradient=finite", "(0, inf)")
    select: Share = setting(
        "auto",
        "of gradient=implicit, who is regularized: auto, the groups with at least a fifth of the strength; or a share "
        "of the batch in (0, 1], 1.0 being everyone. Only they take the second pass, in networks without BatchNorm",
    )
    selection: Selection = setting(
        "largest", "which share: largest strengths, or drawn in proportion to them (unbiased)"
    )
    taps: tuple[str, ...] | Choice | None = setting(
        None,
        "names or patterns of the modules to measure at, or a function (name, module) -> bool; default all "
        "normalization and recurrent layers, else every hidden layer",
    )

    weighs: ClassVar[bool] = True

    card: ClassVar[Card] = Card(
        name="har",
        title="Heteroskedastic adaptive regularization",
        paper="Cao et al., Heteroskedastic and Imbalanced Deep Learning with Adaptive Regularization, ICLR 2021",
        equations="(1/B) Σ (ℓ_i + λ τ_g R_i), τ_g ∝ I_g^(3/5) q_g^(-2/5) (eq. 5-7, Algorithm 1)",
        family="regularization",
        reduces_to_erm=(
            {"strength": 0.0},
            {"strength": 0.0, "gradient": "exact"},
            {"strength": 0.0, "weighting": "uniform"},
        ),
        cost="a step of plain training times 1.7, recurrent networks 2 (exact: 3 to 4); without BatchNorm only 1 + 2 × "
        "the share of examples that are regularized; plus the estimate; with strength=auto that of one training, and "
        "where it begins from scratch two thirds of one more, or 2⅓",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            _ = self.penalty  # checks the settings that depend on each other
        except UserError as error:
            raise error.of(self.place(error.setting)) from None

    @property
    def capabilities(self) -> Capabilities:
        """Those of its parts, and group statistics.

        A given strength needs none where everyone is regularized alike, or by rarity alone; an automatic one counts
        errors.
        """
        if self.strength == "auto":
            return COUNTING & super().capabilities
        alike = self.weighting == "uniform" or self.noise == "unit"
        return super().capabilities if alike else BY_ESTIMATE & super().capabilities

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
        """Return the enforced strength λτ_g of each group, [G]; the largest is `strength`, or `start` if auto."""
        largest = self.start if isinstance(self.strength, str) else self.strength
        if self.weighting == "uniform":
            return torch.full((len(task.groups),), float(largest))
        tau, density = self._relative(task), task.density
        if self.weighting == "random":
            tau = random_strengths(tau, density, task.seed)
        elif self.weighting == "inverse":
            tau = inverse_strengths(tau, density)
        enforced = largest * tau
        if self.select == "auto":
            enforced = enforced.masked_fill(enforced < NOT_ENFORCED_BELOW * enforced.max(), 0.0)
        return enforced.float()

    def _relative(self, task: Task) -> Tensor:
        """Return τ [G] in [0, 1], the largest 1."""
        if self.noise == "unit":
            return strengths(torch.ones_like(task.density), task.density)
        return _estimate(task).strengths

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the training; with strength=auto also the stages to try after it, where no strength is allowed."""
        if self.strength != "auto":
            return super().stages(task)
        weaker = replace(self, start=self.start * WEAKER)
        plain = replace(self, strength=0.0, select="auto", selection="largest")  # no one takes a second pass
        too_much, still_too_much = self._exhausted, weaker._exhausted
        return (
            Stage(name="train", method=self, until=too_much),
            Stage(name="weaker", method=weaker, needed=too_much, until=still_too_much, note=BEGUN_FROM_SCRATCH),
            Stage(name="plain", method=plain, needed=still_too_much, note=NONE_ALLOWED),
        )

    def _exhausted(self, state: HARState) -> bool:
        return isinstance(state, AnnealingState) and exhausted(state.level, self.start)

    def init(self, task: Task, make_net: MakeNet) -> HARState:
        """Return a fresh network with the strengths of the task's groups."""
        net, enforced = self.network(task, make_net), self.group_strengths(task)
        constants = self.class_constants(task)
        if self.strength != "auto":
            return HARState(net, constants, enforced)
        allowed = _allowed(_estimate(task))
        return AnnealingState(net, constants, enforced, self.start, allowed)

    def enforced(self, state: HARState, task: Task) -> Tensor:
        """Return λτ_g of each group, [G], as it stands."""
        return state.strength.cpu().clone()

    def forward(self, state: HARState, batch: Batch) -> Out:
        """Run the network, recording where the Jacobian is measured."""
        taps = find_taps(uncompiled(state.net), self.taps)
        group = batch.group if batch.group_on_host is None else batch.group_on_host
        strength, on_host = state.strength[batch.group], state.on_host[group.cpu()]
        raw, trace = self.penalty.record(state.net, batch.x, taps, strength, on_host)
        return Out(outputs(raw), trace)

    def observe(self, step: Step[HARState]) -> None:
        """Count the errors of each group, where the strength depends on them."""
        state, batch = step.state, step.batch
        if isinstance(state, AnnealingState):
            wrong = (step.out.logits.argmax(1) != batch.y).to(state.wrong)
            state.wrong.index_add_(0, batch.group, wrong)
            state.seen.index_add_(0, batch.group, torch.ones_like(wrong))

    def end_epoch(self, state: HARState, task: Task, clock: Clock, engine: Engine) -> None:
        """Lower the strength, where it is automatic and still too much for some group."""
        if isinstance(state, AnnealingState):
            state.level.copy_(annealed(state.level, state.wrong, state.seen, state.allowed, clock.epochs))
            if clock.epoch + 1 < clock.epochs:  # after the last, the strength stays as it was enforced
                state.strength.copy_(state.level * state.relative)
            state.wrong.zero_()
            state.seen.zero_()

    def objective(self, step: Step[HARState]) -> Objective:
        """Return eq. 6 on the batch."""
        state, batch, out = step.state, step.batch, step.out
        weight = self.class_weight(state, batch.y, step.clock)

        def losses(raw: Tensor, rows: Tensor | None) -> Tensor:
            logits, y, of_rows = outputs(raw), batch.y, weight
            if rows is not None:
                y, of_rows = y[rows], None if weight is None else weight[rows]
            return self.with_weight(self.losses(state, logits, y), of_rows, logits, y)

        plain = self.losses(state, out.logits, batch.y)
        penalized = self.penalty(self.with_weight(plain, weight, out.logits, batch.y), out.extra, losses)
        chosen = out.extra.chosen
        logs = {"jacobian_norm": penalized.norm if chosen is None else penalized.norm[chosen.rows]}
        if isinstance(state, AnnealingState):
            logs["strength"] = state.level.clone()
        return Objective(penalized.total, plain.detach(), logs)


def _allowed(stats: GroupStats) -> Tensor:
    """Return the share of its training labels that each group may err on, [G].

    It is the upper end of the share that is wrong, and no less than the error rate of held-out predictions, since a
    network that is not held back errs on as many. It is no more than the upper end of that rate, by Agresti and Coull
    (1998), with two errors and two right ones added.
    """
    assert stats.wrong_high is not None, "strength=auto is for labels alone"
    assert stats.errors is not None
    rate, n = stats.errors / stats.counted.clamp_min(1), stats.counted + 4
    middle = (stats.errors + 2) / n
    high = (middle + 2 * (middle * (1 - middle) / n).sqrt()).clamp_max(1)
    return stats.wrong_high.clamp(rate, high)


def _estimate(task: Task) -> GroupStats:
    """Return the statistics of the task's groups. Raises UserError where there are none."""
    if task.stats is None:
        rule = "it needs an estimate of each group's noise and density, and task.stats is None; run estimate first"
        raise UserError(rule, setting="task.stats", given="har")
    if task.stats.names != task.groups:
        known, own = (f"{len(names)} groups ({', '.join(names[:6])}, …)" for names in (task.stats.names, task.groups))
        rule = f"the estimate is of {known} and the data have {own}; estimate on the same groups"
        raise UserError(rule, setting="task.stats", value=list(task.stats.names[:6]), given="har")
    return task.stats
