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

`strength="auto"` is ours: 1, unless plain training does better on labels that neither has seen, each half of the rows
predicted from the other (`skedastic.core.choice`, docs/guide/strength.md).

Ours: with `select="auto"` nothing is enforced on groups whose λτ_g is below a fifth of the largest. In networks without
BatchNorm only the others then take the second pass (`skedastic.core.selection`). `select=1.0` is the paper's sum over
everyone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.choice import Trial
from skedastic.core.jacobian import Gradient, JacobianPenalty, Norm, Reduction
from skedastic.core.selection import Selection, Share
from skedastic.core.strengths import GroupStats, inverse_strengths, random_strengths, strengths
from skedastic.core.taps import Affine, Choice, find_taps
from skedastic.core.unwrap import uncompiled
from skedastic.errors import UserError
from skedastic.methods.bases.card import CLASSIFICATION, GROUP_STATS, Capabilities, Card, ProbabilitiesOf
from skedastic.methods.bases.held_out import (
    LEAST_ROWS,
    every_row,
    gave_up_in_the_end,
    held_against,
    trial_stages,
    was_tried,
)
from skedastic.methods.bases.method import MakeNet, Stage
from skedastic.methods.bases.one_network import ClassConstants, OneNetwork, OneNetworkState
from skedastic.methods.bases.step import Batch, Objective, Out, Step, outputs
from skedastic.methods.bases.task import Task

Weighting = Literal["adaptive", "uniform", "random", "inverse"]
Noise = Literal["estimated", "unit"]
BY_ESTIMATE = Capabilities(needs=frozenset({GROUP_STATS}))
COMPARING = Capabilities(tasks=CLASSIFICATION)
NOT_ENFORCED_BELOW = 0.2  # of the largest λτ_g, with select="auto"
CANDIDATE = 1.0  # of strength=auto
STRONG, PLAIN = "with", "without"  # the two ways that strength=auto tries
TRAINED = "train"  # the stage with strength on all rows
NONE_CHOSEN = (
    "strength=auto took none: on labels that the networks had not seen, regularization was worse by a standard error, "
    "or it gave a class up. The network was trained without."
)
NOT_TRIED = (
    f"strength=auto took none: it can't be tried on fewer than {LEAST_ROWS} rows. The network was trained without; "
    "give a strength."
)


class HARState(OneNetworkState):
    """The network, the constants of its loss, and the enforced strength λτ_g of each group."""

    strength: Tensor

    def __init__(self, net: nn.Module, constants: ClassConstants, strength: Tensor) -> None:
        super().__init__(net, constants)
        self.register_buffer("strength", strength)  # [G]
        self.on_host = strength.cpu().clone()  # [G], the same on the CPU


@dataclass(frozen=True, kw_only=True)
class HAR(OneNetwork[HARState]):
    """Regularize each group by the noise and the rarity that were estimated for it."""

    strength: float | Literal["auto"] = setting(
        0.1,
        "largest enforced λτ_g, in units of 1/R as norm and reduction have it: with reduction=mean s at batch size B "
        "is s/B with sum; 0 is plain training; or auto: `candidate`, unless plain training does better on labels that "
        "neither has seen",
        "[0, inf)",
    )
    candidate: float = setting(
        CANDIDATE,
        "the strength that strength=auto tries",
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
        "the share of examples that are regularized; plus the estimate; with strength=auto also the trials, "
        "a training with regularization and one without",
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

        The strengths need none where everyone is regularized alike, or by rarity alone. An automatic one compares
        labels.
        """
        own = super().capabilities
        if self.strength == "auto":
            own = COMPARING & own
        alike = self.weighting == "uniform" or self.noise == "unit"
        return own if alike else BY_ESTIMATE & own

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """As of plain training where the strength is 0; else neither."""
        return "labels" if self.strength == 0 and self.fits_labels else super().probabilities_of

    @cached_property
    def penalty(self) -> JacobianPenalty:
        """How R and its gradient are computed: asked for at every step, and checked once."""
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
        """Return the enforced strength λτ_g of each group, [G]; the largest is `strength`, or `candidate` if auto."""
        largest = self.candidate if isinstance(self.strength, str) else self.strength
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
        """Return the training; with strength=auto first the trials, with the strength to try and without."""
        if self.strength != "auto":
            return super().stages(task)
        strong = replace(self, strength=self.candidate)
        plain = replace(self, strength=0.0, select="auto", selection="largest")  # no one takes a second pass
        if int(task.class_count.sum()) < LEAST_ROWS:  # a run that is loaded has no rows, and their count
            return (Stage(name="plain", method=plain, note=NOT_TRIED),)
        return (
            *trial_stages(STRONG, strong),
            *trial_stages(PLAIN, plain),
            Stage(name=TRAINED, method=strong, chosen=_is_better, predicts=every_row),
            Stage(name="plain", method=plain, chosen=_is_plain, note=NONE_CHOSEN),
        )

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """Return how regularization did against plain training, where the strength is automatic."""
        if not was_tried(STRONG, task):
            return ()
        gain, gives_up = held_against(STRONG, PLAIN, task)
        plain = _is_plain(task)
        in_the_end = plain and TRAINED in task.handed_on
        return (Trial(f"strength {self.candidate:g}", "none", gain, gives_up or in_the_end, not plain),)

    def init(self, task: Task, make_net: MakeNet) -> HARState:
        """Return a fresh network with the strengths of the task's groups."""
        return HARState(self.network(task, make_net), self.class_constants(task), self.group_strengths(task))

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
        rows = out.extra.regularized
        logs = {"jacobian_norm": penalized.norm if rows is None else penalized.norm[rows]}
        return Objective(penalized.total, plain.detach(), logs)


def _is_better(task: Task) -> bool:
    """Return whether the strength is worth training with: not worse by a standard error, and no class given up."""
    gain, gives_up = held_against(STRONG, PLAIN, task)
    return gain.mean >= -gain.error and not gives_up


def _is_plain(task: Task) -> bool:
    """Return whether the network is trained without: where that is better, or a class was given up in the end."""
    return TRAINED not in task.handed_on or gave_up_in_the_end(TRAINED, task)


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
