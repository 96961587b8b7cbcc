"""A recipe: a method that is only its stages, and what recipes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from skedastic.errors import UserError
from skedastic.methods.bases.method import (
    Batch,
    Clock,
    Method,
    Objective,
    Out,
    Stage,
    State,
    Task,
)
from skedastic.methods.erm import ERM


def last_stage(method: Method, task: Task) -> Method:
    """Return the method of a recipe's last stage."""
    return method.stages(task)[-1].method


def own_name(name: str, stages: Sequence[Stage]) -> str:
    """Return a name for one more stage, which none of `stages` has."""
    taken = {stage.name for stage in stages}
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 100))) if n not in taken)


def check_second(name: str, begins: float, lr_scale: float) -> None:
    """Raise UserError where a second stage can't begin then, or learn at that rate."""
    if not 0 < begins < 1:
        raise UserError(f"{name}(begins={begins}): begins must be a fraction of the epochs, in (0, 1)")
    if not 0 < lr_scale < float("inf"):
        raise UserError(f"{name}(lr_scale={lr_scale}): lr_scale must be finite and above 0")


@dataclass(frozen=True, kw_only=True)
class Recipe(Method):
    """A method that is only its stages: those of `first`, and then others."""

    first: Method = field(default_factory=ERM)

    @property
    def needs(self) -> frozenset[str]:
        """What the first stages need."""
        return self.first.needs

    @property
    def requirements(self) -> tuple[str, ...]:
        """What the recipe and its first stages need, in words."""
        return (*super().requirements, *self.first.requirements)

    @property
    def supports(self) -> frozenset[str]:
        """The tasks that the recipe and its first stages are for."""
        return self.card.supports & self.first.supports

    @property
    def incompatible_with(self) -> Mapping[str, str]:
        """How the first stages can't be wrapped."""
        return {**self.first.incompatible_with, **self.card.incompatible_with}

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> State:
        """Return the state that the first stage begins with."""
        return self.first.init(task, make_net)

    def shortened(self, task: Task, share: float) -> tuple[Stage, ...]:
        """Return the stages of `first`, for a share of their epochs."""
        return tuple(replace(stage, epochs=stage.epochs * share) for stage in self.first.stages(task))

    def least_batch(self, task: Task) -> int:
        """Return what all stages take."""
        return max(stage.method.least_batch(task) for stage in self.stages(task))

    def forward(self, state: State, batch: Batch) -> Out:
        """As the first stage does."""
        return self.first.forward(state, batch)

    def observe(self, state: State, batch: Batch, out: Out, clock: Clock) -> None:
        """As the first stage does."""
        self.first.observe(state, batch, out, clock)

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """As the first stage does."""
        return self.first.objective(state, batch, out, clock)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """As the first stage does."""
        return self.first.predict(state, x)
