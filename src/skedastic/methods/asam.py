"""ASAM: sharpness-aware minimization in a neighbourhood that is as wide as each weight is large, around any method.

Source: Kwon, Kim, Park, Choi, "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural
Networks", ICML 2021, Algorithm 1: the step's gradient is taken at w + ε, ε = ρ T² g/‖T g‖, g = ∇L(w), the norm over all
parameters together; T is diagonal, |w| + η elementwise, so that weights scaled up without changing the network are
shifted as much more.

Compared with github.com/SamsungLabs/ASAM (commit f156a68), the same to rounding on networks of torch's layers: T is 1
for biases, BatchNorm's too, which are shifted as SAM does; the authors' ρ is for this (with biases in T theirs would be
2, as one of them says in davda54/sam, issue 37). There, T is |w| + η where a parameter's name has "weight" in it: a
bias inside a module of such a name, and no embedding or factor of another name; here, for all but biases by name. As
in `sam`, and not there, both forwards have the same dropout masks, and BatchNorm's running statistics follow the first
forward alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.methods.bases.card import PERTURBED, Capabilities, Card
from skedastic.methods.bases.step import Objective
from skedastic.methods.sam import TINY, Perturbing, ReplayedStep, together


def extents(parameters: Sequence[Tensor], biases: Sequence[bool], eta: float) -> list[Tensor]:
    """Return T of each parameter, of its shape: |w| + η, and 1 for those that are biases."""
    return [torch.ones_like(p) if bias else p.detach().abs() + eta for p, bias in zip(parameters, biases, strict=True)]


def adaptive_climb(gradients: Sequence[Tensor], extent: Sequence[Tensor], rho: float) -> list[Tensor]:
    """Return ε = ρ T² g/‖T g‖ of gradients g and extents T, one tensor for each parameter; the norm is over all."""
    scaled = [t * g for t, g in zip(extent, gradients, strict=True)]
    scale = rho / (together(scaled) + TINY)
    return [t * s * scale for t, s in zip(extent, scaled, strict=True)]


def are_biases(module: nn.Module, parameters: Sequence[Tensor]) -> list[bool]:
    """Return which of a module's parameters are biases, by their own names: bias, bias_ih_l0, in_proj_bias."""
    biases = {id(p) for name, p in module.named_parameters() if "bias" in name.rpartition(".")[2]}
    return [id(p) in biases for p in parameters]


@dataclass(frozen=True, kw_only=True)
class ASAM(Perturbing):
    """Step by the gradient at w + ρ T² g/‖T g‖, T = |w| + η."""

    rho: float = setting(
        0.5,
        "ρ, the length of the shift, each weight measured by its own size; 0 is `base` as it is, 0.5 the authors' "
        "for CIFAR-10, 1 for CIFAR-100",
        "[0, inf)",
    )
    eta: float = setting(0.01, "η, added to the size of each weight, so that small ones move too", "[0, inf)")
    card: ClassVar[Card] = Card(
        name="asam",
        title="Adaptive sharpness-aware minimization, around any method",
        paper="Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning, ICML 2021",
        equations="∇L(w + ρ T² ∇L(w)/‖T ∇L(w)‖), T = |w| + η (Algorithm 1)",
        family="around another method",
        capabilities=Capabilities(
            incompatible_with={PERTURBED: "it takes the objective at other weights itself"},
        ),
        reduces_to_erm=({"rho": 0.0},),
        cost="2 × the step of `base`",
    )

    def shifts(self, first: Objective, replayed: ReplayedStep) -> list[Tensor]:
        """Return ρ T² g/‖T g‖."""
        parameters = replayed.parameters
        extent = extents(parameters, are_biases(replayed.step.state, parameters), self.eta)
        return adaptive_climb(replayed.gradients(first), extent, self.rho)
