"""AMP: adversarial model perturbation, around any method with one objective.

Source: Zheng, Zhang, Mao, "Regularizing Neural Networks via Adversarial Model Perturbation", CVPR 2021, equation 4 and Algorithm 1:
the step's gradient is taken at w + Δ, where Δ climbs from 0 for N steps, Δ ← Δ + ζ ∇L(w + Δ), and is brought back to the ball
‖Δ‖ ≤ ε where it leaves it.

Compared with github.com/hiyouga/AMP-Regularizer (commit 87e689f): the same for a network of one tensor. It keeps each tensor in a ball
of its own; here, as the paper has it, there is one ball for all parameters, so that its ε is not ours: with k tensors, theirs
allows up to √k ε. As there, Δ is not normalized inside the ball (unlike `sam`), and its default ζ is 1. Ours: BatchNorm's running
statistics follow the first forward alone, and all forwards have the same dropout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.errors import UserError
from skedastic.methods.base import PERTURBED, Batch, Card, Clock, Method, Objective, State
from skedastic.methods.erm import ERM
from skedastic.methods.sam import TINY, Again, Perturbing, check_radius, together
from skedastic.methods.wrapper import BASE


def within(shifts: Sequence[Tensor], epsilon: float) -> list[Tensor]:
    """Return the shifts, one tensor for each parameter, brought back to the ball of radius ε ≥ 0 around 0."""
    scale = (epsilon / (together(shifts) + TINY)).clamp_max(1)
    return [shift * scale for shift in shifts]


@dataclass(frozen=True, kw_only=True)
class AMP(Perturbing):
    """Step by the gradient at the worst weights found near by."""

    epsilon: float = 0.5
    inner_lr: float = 1.0
    inner_steps: int = 1
    base: Method = field(default_factory=ERM)

    card: ClassVar[Card] = Card(
        name="amp",
        title="Adversarial model perturbation, around any method",
        paper="Zheng et al., Regularizing Neural Networks via Adversarial Model Perturbation, CVPR 2021",
        equations="∇L(w + Δ), Δ ← Δ + ζ ∇L(w + Δ) within ‖Δ‖ ≤ ε (eq. 4, Algorithm 1)",
        family="around another method",
        supports=frozenset({"classification", "regression"}),
        refuses={PERTURBED: "it takes the objective at other weights itself"},
        limits=({"epsilon": 0.0}, {"inner_lr": 0.0}),
        parameters={
            "base": BASE,
            "epsilon": "ε ≥ 0, the radius of the ball, over all parameters; 0 is `base` as it is",
            "inner_lr": "ζ ≥ 0, the rate of the climb",
            "inner_steps": "N ≥ 1, the steps of the climb",
        },
        cost="(1 + N) × the step of `base`, N = inner_steps",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_radius("AMP", "epsilon", self.epsilon, "0.5 is usual")
        check_radius("AMP", "inner_lr", self.inner_lr, "1 is the authors'")
        if self.inner_steps < 1:
            raise UserError(f"AMP(inner_steps={self.inner_steps}): inner_steps must be at least 1; 1 is the authors'")

    def shifts(self, state: State, batch: Batch, first: Objective, clock: Clock, again: Again) -> list[Tensor]:
        """Climb from 0 and return where it ended."""
        shifts = self.climbed([torch.zeros_like(p) for p in again.parameters], again.gradients(first))
        for _ in range(1, self.inner_steps):
            with again.at(shifts) as objective:
                gradients = again.gradients(objective)
            shifts = self.climbed(shifts, gradients)
        return shifts

    def climbed(self, shifts: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return where a step up the gradients leads, within the ball."""
        return within([s + self.inner_lr * g for s, g in zip(shifts, gradients, strict=True)], self.epsilon)
