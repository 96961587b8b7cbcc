"""ABSGD: attentional-biased stochastic gradient descent.

Source: Qi, Xu, Yin, Jin, Yang, "Attentional-Biased Stochastic Gradient Descent", Algorithm 1: every example of a batch
is weighted by p_i = exp(ℓ_i/λ)/s, s ← (1−γ)s + γ (1/B) Σ exp(ℓ_i/λ). λ > 0 favours large losses (imbalance), λ < 0
small ones (label noise); |λ| = ∞ is plain training, in which λ may begin (section 3.6): `lam=[[0, inf], [0.8, 5]]`. In
their code it begins with the first drop of the learning rate, `lam=[[0, inf], [first-drop, 5]]`. It goes to a
stationary point of F_λ (equation 6), which the history shows as `objective`. The training configuration's optimizer
steps: sgd is ABSGD, adam or adamw ABAdam. Equation 9 has no bias correction, `bias_correction=false`; the authors'
package has torch's Adam, which corrects.

All of it is in the log domain (`core.tilted`), where no loss overflows; the authors' package (absgd 0.0.1) takes exp
of the loss, and gives NaN from losses of 88 λ in fp32. Where their code differs, the paper is the default and the code
an option: `start="zero"` begins with s = 0 (both versions), so that the first weights are 1/γ too large; `alpha`
scales the term that enters s (their `abAlpha`, 0.5 in the command lines for label noise); `uniform=1` adds 1 to every
weight (the version for label noise, `noisy_label/loss.py`). Class weights multiply the losses before the exponential,
as they have it. When λ changes, s begins again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.tilted import UNSET, DROObjective, log_mean_exp, moved, single
from skedastic.methods.bases.card import Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Optimizer, Stage
from skedastic.methods.bases.one_network import ClassConstants, OneNetworkState
from skedastic.methods.bases.reweighting import Reweighting
from skedastic.methods.bases.scale import INFINITE, SCALE, Schedule, check_lam, lam_at
from skedastic.methods.bases.step import Clock, Logs, Objective, Step
from skedastic.methods.bases.task import Task

Start = Literal["first-batch", "zero"]


class ABSGDState(OneNetworkState):
    """The network, log s, and F_λ of the epoch so far."""

    log_s: Tensor
    objective: DROObjective

    def __init__(self, net: nn.Module, constants: ClassConstants) -> None:
        super().__init__(net, constants)
        self.register_buffer("log_s", torch.tensor(UNSET))
        self.objective = DROObjective(1.0)


@dataclass(frozen=True, kw_only=True)
class ABSGD(Reweighting[ABSGDState]):
    """Weigh each example by the exponential of its loss, normalized by a moving average over the batches."""

    lam: float | Schedule = setting(
        5.0,
        SCALE,
    )
    gamma: float = setting(
        0.9,
        "γ, the share of the newest batch in s; 1 takes no other batch into account, and is biased; 0.9 is the "
        "authors' package's, 0.5 the best of the paper's ablation (Figure 4)",
        "(0, 1]",
    )
    start: Start = setting("first-batch", "s at the outset: first-batch, or zero (the authors' code)")
    alpha: float = setting(
        1.0,
        "factor of the batch's mean as it enters s (0.5 in the authors' command lines for label noise; 1 is the "
        "paper's)",
        "(0, 1]",
    )
    uniform: float = setting(
        0.0, "added to every weight (the authors' code for label noise: 1; 0 is the paper's)", "[0, inf)"
    )
    optimizer: Optimizer = setting(
        "configured",
        "the optimizer: the training configuration's, or sgd (ABSGD), adam or adamw (ABAdam, with the training "
        "configuration's learning rate converted)",
    )
    bias_correction: bool = setting(
        True,
        "whether Adam corrects the bias of its averages, as in the authors' package; false is equation 9 as it stands",
    )

    milder: ClassVar[str] = "take a larger |λ|, or begin with it later, lam=[[0, inf], [0.8, λ]]"

    card: ClassVar[Card] = Card(
        name="absgd",
        title="Attentional-biased SGD",
        paper="Qi et al., Attentional-Biased Stochastic Gradient Descent, TMLR 2023",
        equations="p_i = exp(ℓ_i/λ)/s, s ← (1−γ)s + γ mean exp(ℓ/λ) (Algorithm 1)",
        family="instance weights",
        reduces_to_erm=({"lam": INFINITE}, {"lam": -INFINITE}, {"lam": ((0.0, INFINITE),)}),
        cost="1.0 × the step of plain training",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lam(self.lam, "absgd.lam")

    def lam_at(self, clock: Clock) -> float:
        """Return λ in an epoch."""
        return lam_at(self.lam, clock)

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return one stage, under the optimizer that was asked for."""
        corrected = self.bias_correction
        return (Stage(name="train", method=self, optimizer=self.optimizer, bias_correction=corrected),)

    def init(self, task: Task, make_net: MakeNet) -> ABSGDState:
        """Return a fresh network, with s unset."""
        return ABSGDState(self.network(task, make_net), self.class_constants(task))

    def take(self, step: Step[ABSGDState], losses: Tensor) -> None:
        """Move log s (steps 3 and 4), and take the losses into F_λ."""
        state = step.state
        lam = self.lam_at(step.clock)
        if abs(lam) == INFINITE:
            return
        log_g = log_mean_exp(losses / lam)
        first = self.start == "first-batch"
        state.log_s.copy_(moved(state.log_s, log_g, self.gamma, first_batch=first, alpha=self.alpha))
        state.objective.lam = lam
        state.objective.update(losses)

    def instance_weights(self, step: Step[ABSGDState], losses: Tensor) -> Tensor | None:
        """Return p_i (step 5)."""
        lam = self.lam_at(step.clock)
        if abs(lam) == INFINITE:
            return None
        weights: Tensor = (single(losses) / lam - step.state.log_s).exp() + self.uniform
        return weights

    def objective(self, step: Step[ABSGDState]) -> Objective:
        """Return (1/B) Σ p_i ℓ_i, whose gradient estimates that of F_λ; logs log s."""
        objective = super().objective(step)
        logs = {**objective.logs, "log_s": step.state.log_s.clone()}
        return objective._replace(logs=logs) if objective.logs else objective

    def end_epoch(self, state: ABSGDState, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """Return F_λ over the epoch; where λ changes with the next, s begins again."""
        lam = self.lam_at(clock)
        if self.lam_at(clock._replace(epoch=clock.epoch + 1)) != lam:
            state.log_s.fill_(UNSET)
        if abs(lam) == INFINITE:
            return None
        return {"objective": state.objective.taken()}
