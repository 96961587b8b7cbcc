"""What methods that go around another method have in common: all that they do not change is the other's.

`sam(base=har)` is HAR whose steps are SAM's. A method says on its card how it can't be wrapped, and why (`incompatible_with`); what it can
be is tried in the contract tests. Of a recipe of several stages, each that bears it is wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from skedastic.core.samplers import Sampler
from skedastic.errors import UserError
from skedastic.methods.bases.method import (
    Batch,
    Clock,
    Engine,
    Logs,
    Method,
    Objective,
    Out,
    OwnOptimizer,
    Stage,
    State,
    Task,
)
from skedastic.methods.erm import ERM

BASE = "the method that is trained so, with its settings, such as har(strength=0.5)"


@dataclass(frozen=True, kw_only=True)
class Wrapper(Method):
    """A method around another, `base`."""

    base: Method = field(default_factory=ERM)

    way: ClassVar[str] = ""  # PERTURBED, MIXED, or nothing that a method could refuse

    def __post_init__(self) -> None:
        name, inside = self.card.name, self.base.card.name
        if any(method.card.name == name for method in wrapped(self.base)):
            raise UserError(f"{name}(base={inside}): it is wrapped in {name} twice; once is enough")
        if self.way in self.base.incompatible_with:
            raise UserError(
                f"{name}(base={inside}): {inside} can't be trained so: {self.base.incompatible_with[self.way]}"
            )

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `base`, wrapped; those that can't be, such as one that only averages, as they are."""
        return tuple(
            stage
            if self.way in stage.method.incompatible_with
            else replace(stage, method=replace(self, base=stage.method))
            for stage in self.base.stages(task)
        )

    @property
    def needs(self) -> frozenset[str]:
        """What `base` needs."""
        return self.card.needs | self.base.needs

    @property
    def supports(self) -> frozenset[str]:
        """The tasks that both are for."""
        return self.card.supports & self.base.supports

    @property
    def requirements(self) -> tuple[str, ...]:
        """What both need, in words."""
        return (*super().requirements, *self.base.requirements)

    @property
    def incompatible_with(self) -> Mapping[str, str]:
        """How neither of both can be wrapped."""
        return {**self.base.incompatible_with, **self.card.incompatible_with}

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> State:
        """As `base` does."""
        return self.base.init(task, make_net)

    def streams(self, task: Task) -> Mapping[str, Sampler]:
        """As `base` does."""
        return self.base.streams(task)

    def batch_shares(self) -> Mapping[str, float]:
        """As `base` does."""
        return self.base.batch_shares()

    def param_groups(self, state: State) -> Mapping[str, list[nn.Parameter]]:
        """As `base` does."""
        return self.base.param_groups(state)

    def optimizers(self) -> Mapping[str, OwnOptimizer]:
        """As `base` does."""
        return self.base.optimizers()

    def forward(self, state: State, batch: Batch) -> Out:
        """As `base` does."""
        return self.base.forward(state, batch)

    def observe(self, state: State, batch: Batch, out: Out, clock: Clock) -> None:
        """As `base` does."""
        self.base.observe(state, batch, out, clock)

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """As `base` does."""
        return self.base.objective(state, batch, out, clock)

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """As `base` does."""
        return self.base.end_epoch(state, task, clock, engine)

    def least_batch(self, task: Task) -> int:
        """As `base` does."""
        return self.base.least_batch(task)

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """As `base` does."""
        return self.base.notes(rows, batch_size)

    def group_strengths(self, task: Task) -> Tensor | None:
        """As `base` does."""
        return self.base.group_strengths(task)

    def enforced(self, state: State, task: Task) -> Tensor | None:
        """As `base` does."""
        return self.base.enforced(state, task)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """As `base` does."""
        return self.base.predict(state, x)


def wrapped(method: Method) -> Iterator[Method]:
    """Yield a method, and what it is around, down to the innermost."""
    yield method
    if isinstance(method, Wrapper):
        yield from wrapped(method.base)
