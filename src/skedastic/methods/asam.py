"""ASAM: sharpness-aware minimization whose shift is long where weights are large, around any method with one objective.

Source: Kwon, Kim, Park, Choi, "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural Networks", ICML
2021, equation 4 and Algorithm 1, elementwise: the step's gradient is taken at w + ε̂, ε̂ = ρ T² g/‖T g‖ with T = |w| + η.

Compared with github.com/SamsungLabs/ASAM (commit f156a68): the same where it normalizes. It takes T = 1 for parameters whose name
does not hold "weight", such as biases; here, as the paper has it, T is |w| + η for all. BatchNorm and dropout are as in `sam`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from skedastic.methods.base import PERTURBED, Batch, Card, Clock, Method, Objective, State
from skedastic.methods.erm import ERM
from skedastic.methods.sam import TINY, Again, Perturbing, check_radius, together
from skedastic.methods.wrapper import BASE


def adaptive_climb(weights: Sequence[Tensor], gradients: Sequence[Tensor], rho: float, eta: float) -> list[Tensor]:
    """Return ρ T² g/‖T g‖, T = |w| + η, one tensor for each of weights w and gradients g; the norm is over all."""
    sizes = [w.detach().abs() + eta for w in weights]
    scaled = [t * g for t, g in zip(sizes, gradients, strict=True)]
    scale = rho / (together(scaled) + TINY)
    return [t * s * scale for t, s in zip(sizes, scaled, strict=True)]


@dataclass(frozen=True, kw_only=True)
class ASAM(Perturbing):
    """Step by the gradient at w + ρ T² g/‖T g‖."""

    rho: float = 0.5
    eta: float = 0.01
    base: Method = field(default_factory=ERM)

    card: ClassVar[Card] = Card(
        name="asam",
        title="Sharpness-aware minimization, by the size of weights, around any method",
        paper="Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, ICML 2021",
        equations="∇L(w + ρ T² g/‖T g‖), T = |w| + η (eq. 4)",
        family="around another method",
        supports=frozenset({"classification", "regression"}),
        refuses={PERTURBED: "it takes the objective at other weights itself"},
        limits=({"rho": 0.0},),
        parameters={
            "base": BASE,
            "rho": "ρ ≥ 0, the length of the shift in units of the weights; 0 is `base` as it is, 0.5 to 2 are usual",
            "eta": "η ≥ 0, the size of a weight of 0; 0.01 is the authors'",
        },
        cost="2 × the step of `base`",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_radius("ASAM", "rho", self.rho, "0.5 is usual")
        check_radius("ASAM", "eta", self.eta, "0.01 is the authors'")

    def shifts(self, state: State, batch: Batch, first: Objective, clock: Clock, again: Again) -> list[Tensor]:
        """Return ρ T² g/‖T g‖."""
        return adaptive_climb(again.parameters, again.gradients(first), self.rho, self.eta)
