"""SAM: sharpness-aware minimization, around any method with one objective.

Source: Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021,
equations 2 and 3, Algorithm 1: the step's gradient is taken at w + ε̂, ε̂ = ρ ∇L(w)/‖∇L(w)‖, the norm over all parameters
together. Compared with github.com/davda54/sam (commit 3c3afdb), the usual PyTorch code: the same perturbation, and as there
BatchNorm's running statistics follow the first forward alone. Ours: both forwards have the same dropout masks (there, each
its own), so that ρ = 0 is plain training to the bit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.core.replay import RandomState, replay
from skedastic.errors import UserError
from skedastic.methods.bases.method import (
    PERTURBED,
    Batch,
    Card,
    Clock,
    Engine,
    Logs,
    Method,
    Objective,
    State,
    accuracy,
)
from skedastic.methods.bases.wrapper import BASE, Wrapper
from skedastic.methods.erm import ERM

TINY = 1e-12


def climb(gradients: Sequence[Tensor], rho: float) -> list[Tensor]:
    """Return ε̂ = ρ g/‖g‖ of gradients g, one tensor for each parameter; the norm is over all of them."""
    scale = rho / (together(gradients) + TINY)
    return [g * scale for g in gradients]


def together(tensors: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm of several tensors as of one long vector."""
    squares: list[Tensor] = [t.float().square().sum() for t in tensors]
    return torch.stack(squares).sum().sqrt()


@contextmanager
def moved(parameters: Sequence[Tensor], shifts: Sequence[Tensor]) -> Iterator[None]:
    """Within this context the parameters are shifted; afterwards they are what they were, to the bit."""
    kept = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, shift in zip(parameters, shifts, strict=True):
            p.add_(shift)
    try:
        yield
    finally:
        with torch.no_grad():
            for p, old in zip(parameters, kept, strict=True):
                p.copy_(old)


@dataclass(frozen=True, kw_only=True)
class Perturbing(Wrapper):
    """A method whose steps are taken by the gradient at other weights, which `shifts` says."""

    way: ClassVar[str] = PERTURBED

    @abstractmethod
    def shifts(self, state: State, batch: Batch, first: Objective, clock: Clock, again: Again) -> list[Tensor]:
        """Return what is added to each parameter, given the objective at the weights as they are."""

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step of the gradient at the shifted weights."""
        random_state = RandomState.now(state)
        out = self.base.forward(state, batch)
        with torch.no_grad():
            self.base.observe(state, batch, out, clock)
        first = self.base.objective(state, batch, out, clock)
        again = Again(self.base, state, batch, clock, engine, random_state)
        with again.at(self.shifts(state, batch, first, clock, again)) as objective:
            engine.backward(objective.total)
        engine.step("main")
        return {"loss": first.per_example, **accuracy(out.logits, batch.y), **first.logs}


@dataclass(frozen=True, eq=False)
class Again:
    """The objective of a step, to be taken once more at other weights: same batch, same dropout, state as it is."""

    base: Method
    state: State
    batch: Batch
    clock: Clock
    engine: Engine
    random_state: RandomState

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that are trained."""
        return [p for p in self.base.param_groups(self.state)["main"] if p.requires_grad]

    def gradients(self, objective: Objective) -> list[Tensor]:
        """Return the gradients of an objective, one for each parameter."""
        return self.engine.gradients(objective.total, self.parameters)

    @contextmanager
    def at(self, shifts: Sequence[Tensor]) -> Iterator[Objective]:
        """Within this context the weights are shifted; yields the objective there."""
        with moved(self.parameters, shifts), replay(self.state, self.random_state):
            yield self.base.objective(self.state, self.batch, self.base.forward(self.state, self.batch), self.clock)


@dataclass(frozen=True, kw_only=True)
class SAM(Perturbing):
    """Step by the gradient at w + ρ g/‖g‖."""

    rho: float = 0.05
    base: Method = field(default_factory=ERM)

    card: ClassVar[Card] = Card(
        name="sam",
        title="Sharpness-aware minimization, around any method",
        paper="Foret et al., Sharpness-Aware Minimization, ICLR 2021",
        equations="∇L(w + ρ ∇L(w)/‖∇L(w)‖) (eq. 2 and 3)",
        family="around another method",
        supports=frozenset({"classification", "regression"}),
        incompatible_with={PERTURBED: "it takes the objective at other weights itself"},
        reduces_to_erm=({"rho": 0.0},),
        parameters={"base": BASE, "rho": "ρ ≥ 0, the length of the shift; 0 is `base` as it is, 0.05 to 0.2 are usual"},
        cost="2 × the step of `base`",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_radius("SAM", "rho", self.rho, "0.05 is usual")

    def shifts(self, state: State, batch: Batch, first: Objective, clock: Clock, again: Again) -> list[Tensor]:
        """Return ρ g/‖g‖."""
        return climb(again.gradients(first), self.rho)


def check_radius(cls: str, name: str, value: float, usual: str) -> None:
    """Raise UserError where the length of a shift can't be `value`."""
    if not 0 <= value < float("inf"):
        raise UserError(f"{cls}({name}={value}): {name} must be finite and at least 0; {usual}")
