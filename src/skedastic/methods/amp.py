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
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.methods.bases.card import PERTURBED, Capabilities, Card
from skedastic.methods.bases.step import Objective
from skedastic.methods.sam import TINY, Perturbing, ReplayedStep, together


def ascended(shifts: Sequence[Tensor], gradients: Sequence[Tensor], rate: float, radius: float) -> list[Tensor]:
    """Return Δ + rate · g, where that is longer than `radius` as long; tensors as of one long vector."""
    moved = [shift + rate * g for shift, g in zip(shifts, gradients, strict=True)]
    scale = (radius / (together(moved) + TINY)).clamp(max=1)
    return [m * scale for m in moved]


@dataclass(frozen=True, kw_only=True)
class AMP(Perturbing):
    """Step by the gradient at w + Δ, Δ by gradient ascent in a ball."""

    epsilon: float = setting(
        0.5, "ε, the radius of the ball around all weights together; 0 is `base` as it is, 0.5 is usual", "[0, inf)"
    )
    inner_lr: float = setting(1.0, "ζ, the rate of the ascent; 1 is the authors', 0 is `base` as it is", "[0, inf)")
    inner_iter: int = setting(1, "N, steps of ascent; 1 is the authors'", "[1, inf)")
    card: ClassVar[Card] = Card(
        name="amp",
        title="Adversarial model perturbation, around any method",
        paper="Zheng et al., Regularizing Neural Networks via Adversarial Model Perturbation, CVPR 2021",
        equations="∇L(w + Δ), N times Δ ← Δ + ζ ∇L(w + Δ), ‖Δ‖ ≤ ε (Algorithm 1)",
        family="around another method",
        capabilities=Capabilities(
            incompatible_with={PERTURBED: "it takes the objective at other weights itself"},
        ),
        reduces_to_erm=({"epsilon": 0.0}, {"inner_lr": 0.0}),
        cost="1 + inner_iter × the step of `base`",
    )

    def shifts(self, first: Objective, replayed: ReplayedStep) -> list[Tensor]:
        """Return Δ after N steps."""
        start = [torch.zeros_like(p) for p in replayed.parameters]
        shifts = ascended(start, replayed.gradients(first), self.inner_lr, self.epsilon)
        for _ in range(self.inner_iter - 1):
            with replayed.at(shifts) as objective:
                gradients = replayed.gradients(objective)
            shifts = ascended(shifts, gradients, self.inner_lr, self.epsilon)
        return shifts
