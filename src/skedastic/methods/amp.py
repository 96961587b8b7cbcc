"""AMP: adversarial model perturbation, the worst weights that gradient ascent finds in a ball, around any method.

Source: Zheng, Zhang, Mao, "Regularizing Neural Networks via Adversarial Model Perturbation", CVPR 2021, Algorithm 1:
from Δ = 0, N times Δ ← Δ + ζ ∇L(w + Δ), brought back to length ε where it is longer; the step's gradient is taken at w
+ Δ. The ball is around all parameters together. Where the gradient is longer than ε/ζ and N = 1, this is SAM of radius
ε; where it is shorter, the shift is too.

Compared with github.com/hiyouga/AMP-Regularizer (commit 87e689f): there each parameter tensor has a ball of radius ε to
itself, and so a network of k tensors one of up to √k ε; the paper wins. (With one tensor both are the same to
rounding.) There, gradients are cut to a length of 50 before the ascent, and each forward has its own dropout masks and
moves BatchNorm's running statistics; here the masks are the same in all, and the statistics follow the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.errors import UserError
from skedastic.methods.bases.method import PERTURBED, Batch, Card, Clock, Method, Objective, State
from skedastic.methods.bases.wrapper import BASE
from skedastic.methods.erm import ERM
from skedastic.methods.sam import TINY, Again, Perturbing, check_radius, together


def ascended(shifts: Sequence[Tensor], gradients: Sequence[Tensor], rate: float, radius: float) -> list[Tensor]:
    """Return Δ + rate · g, where that is longer than `radius` as long; tensors as of one long vector."""
    moved = [shift + rate * g for shift, g in zip(shifts, gradients, strict=True)]
    scale = (radius / (together(moved) + TINY)).clamp(max=1)
    return [m * scale for m in moved]


@dataclass(frozen=True, kw_only=True)
class AMP(Perturbing):
    """Step by the gradient at w + Δ, Δ by gradient ascent in a ball."""

    epsilon: float = 0.5
    inner_lr: float = 1.0
    inner_iter: int = 1
    base: Method = field(default_factory=ERM)

    card: ClassVar[Card] = Card(
        name="amp",
        title="Adversarial model perturbation, around any method",
        paper="Zheng et al., Regularizing Neural Networks via Adversarial Model Perturbation, CVPR 2021",
        equations="∇L(w + Δ), N times Δ ← Δ + ζ ∇L(w + Δ), ‖Δ‖ ≤ ε (Algorithm 1)",
        family="around another method",
        supports=frozenset({"classification", "regression"}),
        incompatible_with={PERTURBED: "it takes the objective at other weights itself"},
        reduces_to_erm=({"epsilon": 0.0}, {"inner_lr": 0.0}),
        parameters={
            "base": BASE,
            "epsilon": "ε ≥ 0, the radius of the ball around all weights together; 0 is `base` as it is",
            "inner_lr": "ζ ≥ 0, the rate of the ascent; 1 is the authors', 0 is `base` as it is",
            "inner_iter": "N ≥ 1, steps of ascent; 1 is the authors'",
        },
        cost="1 + inner_iter × the step of `base`",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_radius("AMP", "epsilon", self.epsilon, "0.5 is usual")
        check_radius("AMP", "inner_lr", self.inner_lr, "1 is usual")
        if self.inner_iter < 1:
            raise UserError(
                f"AMP(inner_iter={self.inner_iter}): inner_iter must be at least 1; epsilon=0 is plain training"
            )

    def shifts(self, state: State, batch: Batch, first: Objective, clock: Clock, again: Again) -> list[Tensor]:
        """Return Δ after N steps."""
        start = [torch.zeros_like(p) for p in again.parameters]
        found = ascended(start, again.gradients(first), self.inner_lr, self.epsilon)
        for _ in range(self.inner_iter - 1):
            with again.at(found) as objective:
                gradients = again.gradients(objective)
            found = ascended(found, gradients, self.inner_lr, self.epsilon)
        return found
