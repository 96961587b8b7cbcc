"""SAM: sharpness-aware minimization, around any method with one objective.

Source: Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-Aware Minimization for Efficiently Improving Generalization",
ICLR 2021, equations 2 and 3, Algorithm 1: the step's gradient is taken at w + ε̂, ε̂ = ρ ∇L(w)/‖∇L(w)‖, the norm over
all parameters together. Compared with github.com/davda54/sam (commit 3c3afdb), the usual PyTorch code: the same
perturbation, and as there BatchNorm's running statistics follow the first forward alone. Ours: both forwards have the
same dropout masks (there, each its own), so that ρ = 0 is plain training to the bit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.replay import RandomState, replay
from skedastic.methods.bases.card import PERTURBED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import Method
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, State, Step, accuracy
from skedastic.methods.bases.wrapper import Wrapper

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
    """Within this context the parameters are shifted; afterwards they are as before, to the bit."""
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
    """A method whose steps are taken by the gradient at other weights, w + `shifts`."""

    way: ClassVar[str] = PERTURBED

    @abstractmethod
    def shifts(self, first: Objective, replayed: ReplayedStep) -> list[Tensor]:
        """Return the shift of each parameter, given the objective `first` at the weights as they are."""

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step of the gradient at the shifted weights."""
        random_state = RandomState.now(state)
        step = Step(state, batch, self.base.forward(state, batch), clock)
        with torch.no_grad():
            self.base.observe(step)
        first = self.base.objective(step)
        replayed = ReplayedStep(self.base, step, engine, random_state)
        with replayed.at(self.shifts(first, replayed)) as objective:
            engine.backward(objective.total)
        engine.step("main")
        return {"loss": first.per_example, **accuracy(step.out.logits, batch.y), **first.logs}


@dataclass(frozen=True, eq=False)
class ReplayedStep:
    """The objective of a step, to be taken once more at other weights: same batch, same dropout, state as it is."""

    base: Method
    step: Step
    engine: Engine
    random_state: RandomState

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that are trained."""
        return [p for p in self.base.param_groups(self.step.state)["main"] if p.requires_grad]

    def gradients(self, objective: Objective) -> list[Tensor]:
        """Return the gradients of an objective, one for each parameter."""
        return self.engine.gradients(objective.total, self.parameters)

    @contextmanager
    def at(self, shifts: Sequence[Tensor]) -> Iterator[Objective]:
        """Within this context the weights are shifted; yields the objective there."""
        state, batch = self.step.state, self.step.batch
        with moved(self.parameters, shifts), replay(state, self.random_state):
            yield self.base.objective(replace(self.step, out=self.base.forward(state, batch)))


@dataclass(frozen=True, kw_only=True)
class SAM(Perturbing):
    """Step by the gradient at w + ρ g/‖g‖."""

    rho: float = setting(0.05, "ρ, the length of the shift; 0 is `base` as it is, 0.05 to 0.2 are usual", "[0, inf)")

    card: ClassVar[Card] = Card(
        name="sam",
        title="Sharpness-aware minimization, around any method",
        paper="Foret et al., Sharpness-Aware Minimization, ICLR 2021",
        equations="∇L(w + ρ ∇L(w)/‖∇L(w)‖) (eq. 2 and 3)",
        family="around another method",
        capabilities=Capabilities(
            incompatible_with={PERTURBED: "it takes the objective at other weights itself"},
        ),
        reduces_to_erm=({"rho": 0.0},),
        cost="2 × the step of `base`",
    )

    def shifts(self, first: Objective, replayed: ReplayedStep) -> list[Tensor]:
        """Return ρ g/‖g‖."""
        return climb(replayed.gradients(first), self.rho)
