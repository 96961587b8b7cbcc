"""ABSGD: attentional-biased stochastic gradient descent.

Source: Qi, Xu, Yin, Jin, Yang, "Attentional-Biased Stochastic Gradient Descent", Algorithm 1: every example of a batch is
weighted by p_i = exp(ℓ_i/λ)/s, s ← (1−γ)s + γ (1/B) Σ exp(ℓ_i/λ). λ > 0 looks to large losses (imbalance), λ < 0 to small ones
(label noise); |λ| = ∞ is plain training, in which λ may begin (section 3.6): `lam=[[0, inf], [0.8, 5]]`. It goes to a stationary
point of F_λ (equation 6), which the history shows as `objective`. What steps is the training configuration's optimizer: sgd is ABSGD, adam
or adamw ABAdam (equation 9).

All of it is in the log domain (`core.tilted`), where no loss overflows; the authors' package (absgd 0.0.1) takes exp of the
loss, and gives NaN from losses of 88 λ in fp32. Where their code differs, the paper is the default and the code an option:
`start="zero"` begins with s = 0 (both versions), so that the first weights are 1/γ too large; `alpha` scales what goes into s
(their `abAlpha`); `uniform=1` adds 1 to every weight (the version for label noise, `noisy_label/loss.py`). Class weights
multiply the losses before the exponential, as they have it. When λ changes, s begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from skedastic.core.epochs import epoch_of
from skedastic.core.tilted import UNSET, DROObjective, check_gamma, check_scale, log_mean_exp, moved, single
from skedastic.errors import UserError, check_choice
from skedastic.methods.bases.method import (
    Batch,
    Card,
    Clock,
    Engine,
    Logs,
    Objective,
    Optimizer,
    Out,
    Stage,
    State,
    Task,
)
from skedastic.methods.bases.one_network import AXES, OneNetworkState, Reweighting

Start = Literal["first-batch", "zero"]
Schedule = tuple[tuple[float, float], ...]
INFINITE = float("inf")


class ABSGDState(OneNetworkState):
    """The network, log s, and F_λ of the epoch so far."""

    log_s: Tensor
    objective: DROObjective

    def __init__(self, net: nn.Module, of_classes: Tensor | None = None, class_weight: Tensor | None = None) -> None:
        super().__init__(net, of_classes, class_weight)
        self.register_buffer("log_s", torch.tensor(UNSET))
        self.objective = DROObjective(1.0)


@dataclass(frozen=True, kw_only=True)
class ABSGD(Reweighting):
    """Weigh each example by the exponential of its loss, normalized by a moving average over the batches."""

    lam: float | Schedule = 5.0
    gamma: float = 0.9
    start: Start = "first-batch"
    alpha: float = 1.0
    uniform: float = 0.0
    optimizer: Optimizer = "configured"

    milder: ClassVar[str] = "take a larger |λ|, or begin with it later, lam=[[0, inf], [0.8, λ]]"

    card: ClassVar[Card] = Card(
        name="absgd",
        title="Attentional-biased SGD",
        paper="Qi et al., Attentional-Biased Stochastic Gradient Descent, TMLR 2023",
        equations="p_i = exp(ℓ_i/λ)/s, s ← (1−γ)s + γ mean exp(ℓ/λ) (Algorithm 1)",
        family="instance weights",
        supports=frozenset({"classification", "regression"}),
        reduces_to_erm=({"lam": INFINITE}, {"lam": -INFINITE}, {"lam": ((0.0, INFINITE),)}),
        parameters={
            **AXES,
            "lam": "λ, in units of the loss: above 0 for imbalance, below 0 for label noise, not 0; inf is plain training; or a "
            "schedule [[from, λ], …], from being a fraction of the epochs below 1, else an epoch, the first 0",
            "gamma": "γ in (0, 1], the share of the newest batch in s; 1 looks at no other batch, and is biased",
            "start": "s at the outset: first-batch, or zero (the authors' code)",
            "alpha": "in (0, 1]: what goes into s is alpha times the batch's mean (the authors' code; 1 is the paper)",
            "optimizer": "what steps: the training configuration's, or sgd (ABSGD), adam or adamw (ABAdam, with the training configuration's learning rate converted)",
            "uniform": "≥ 0, added to every weight (the authors' code for label noise: 1)",
        },
        cost="1.0 × the step of plain training",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.lam, (int, float)):  # a list of pairs, from Python
            object.__setattr__(self, "lam", tuple(tuple(pair) for pair in self.lam))
        for name, choices in (("start", Start), ("optimizer", Optimizer)):
            check_choice(name, getattr(self, name), get_args(choices))
        check_gamma("ABSGD", self.gamma)
        if not 0 < self.alpha <= 1:
            raise UserError(f"ABSGD(alpha={self.alpha}): alpha must be in (0, 1]; 1 is the paper's")
        if not 0 <= self.uniform < INFINITE:
            raise UserError(f"ABSGD(uniform={self.uniform}): uniform must be finite and at least 0; 0 is the paper's")
        _check_schedule(self._schedule)

    @property
    def _schedule(self) -> Sequence[tuple[float, float]]:
        return self.lam if isinstance(self.lam, tuple) else ((0.0, self.lam),)

    def lam_at(self, epoch: int, epochs: int) -> float:
        """Return λ in an epoch, counted from 0."""
        return [lam for at, lam in self._schedule if epoch >= epoch_of(at, epochs)][-1]

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return one stage, under the optimizer that was asked for."""
        return (Stage(name="train", method=self, optimizer=self.optimizer),)

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> ABSGDState:
        """Return a fresh network, with s unset."""
        return ABSGDState(self.network(task, make_net), *self.known(task))

    def take(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> None:
        """Move log s (steps 3 and 4), and take the losses into F_λ."""
        lam = self.lam_at(clock.epoch, clock.epochs)
        if abs(lam) == INFINITE:
            return
        log_g = log_mean_exp(losses / lam)
        first = self.start == "first-batch"
        state.log_s.copy_(moved(state.log_s, log_g, self.gamma, first_batch=first, alpha=self.alpha))
        state.objective.lam = lam
        state.objective.update(losses)

    def instance_weights(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> Tensor | None:
        """Return p_i (step 5)."""
        lam = self.lam_at(clock.epoch, clock.epochs)
        if abs(lam) == INFINITE:
            return None
        weights: Tensor = (single(losses) / lam - state.log_s).exp() + self.uniform
        return weights

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return (1/B) Σ p_i ℓ_i, whose gradient estimates that of F_λ; logs log s."""
        assert isinstance(state, ABSGDState)
        found = super().objective(state, batch, out, clock)
        return found._replace(logs={**found.logs, "log_s": state.log_s.clone()}) if found.logs else found

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """Return F_λ over the epoch; where λ changes with the next, s begins anew."""
        assert isinstance(state, ABSGDState)
        lam = self.lam_at(clock.epoch, clock.epochs)
        if self.lam_at(clock.epoch + 1, clock.epochs) != lam:
            state.log_s.fill_(UNSET)
        if abs(lam) == INFINITE:
            return None
        return {"objective": state.objective.taken()}


def _check_schedule(schedule: Sequence[tuple[float, float]]) -> None:
    if any(len(pair) != 2 for pair in schedule) or not schedule:
        raise UserError("ABSGD(lam=…): a schedule is a list of [from, λ], such as [[0, inf], [0.8, 5]]")
    for at, lam in schedule:
        check_scale(f"ABSGD(lam={lam})", lam)
        if not 0 <= at < INFINITE:
            raise UserError(
                f"ABSGD(lam=[[{at}, {lam}], …]): a time must be a fraction of the epochs in [0, 1), or an epoch"
            )
    times = [at for at, _ in schedule]
    fractions = [at for at in times if at < 1]
    if times[0] != 0 or times != fractions + [at for at in times if at >= 1] or times != sorted(set(times)):
        raise UserError(
            f"ABSGD(lam=…): the times of a schedule must begin at 0 and rise, and are {', '.join(map(str, times))}"
        )
