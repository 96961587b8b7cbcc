"""The base of recipes: methods that are only their stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.choice import Best, Trial
from skedastic.errors import UserError
from skedastic.methods.bases.card import Capabilities
from skedastic.methods.bases.method import MakeNet, Method, Stage
from skedastic.methods.bases.step import Batch, Objective, Out, State, Step
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM


def last_stage(method: Method, task: Task) -> Method:
    """Return the method of a recipe's last stage.

    Parameters
    ----------
    method : Method
        Any method.
    task : Task
        The data, as far as a method may know them.
    """
    return method.stages(task)[-1].method


def own_name(name: str, stages: Sequence[Stage]) -> str:
    """Return a name for one more stage, which no other stage has.

    Parameters
    ----------
    name : str
        The name to begin with.
    stages : sequence of Stage
        The others.
    """
    taken = {stage.name for stage in stages}
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 100))) if n not in taken)


@dataclass(frozen=True, kw_only=True)
class Recipe(Method):
    """A method that is only its stages: those of `first`, and then others."""

    refits: ClassVar[bool] = True

    first: Method = setting(
        factory=ERM, meaning="the method that trains the network first, such as erm or absgd(lam=5)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first.passes is not None:
            rule = "it trains no network, which the next stages go on with"
            raise UserError(rule, setting=self.place("first"), value=self.first.card.name)
        object.__setattr__(self, "first", self.first.of_networks())  # the next stages go on with a network

    @property
    def capabilities(self) -> Capabilities:
        """Those of the recipe and of its first stages."""
        return super().capabilities & self.first.capabilities

    def init(self, task: Task, make_net: MakeNet) -> State:
        """Return the state that the first stage begins with."""
        state: State = self.first.init(task, make_net)
        return state

    def shortened(self, task: Task, share: float) -> tuple[Stage, ...]:
        """Return the stages of `first`, for a share of their epochs.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.
        share : float
            In (0, 1].
        """
        return tuple(replace(stage, epochs=stage.epochs * share) for stage in self.first.stages(task))

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """Return those of the first method."""
        return self.first.trials(task)

    def so_far(self, task: Task) -> Best | None:
        """Return that of the first method."""
        return self.first.so_far(task)

    def least_batch(self, task: Task) -> int:
        """Return the size of the smallest batch that all stages take."""
        return max(stage.method.least_batch(task) for stage in self.stages(task))

    def forward(self, state: State, batch: Batch) -> Out:
        """As the first stage does."""
        return self.first.forward(state, batch)

    def observe(self, step: Step) -> None:
        """As the first stage does."""
        self.first.observe(step)

    def objective(self, step: Step) -> Objective:
        """As the first stage does."""
        return self.first.objective(step)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """As the first stage does."""
        return self.first.predict(state, x)
