"""The base of methods that go around another method: whatever they do not change is the other's.

`sam(base=har)` is HAR whose steps are SAM's. A method's capabilities say how it can't be wrapped, and why; the contract
tests try how it can. Of a recipe, each stage that can be wrapped is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.choice import Best, Trial
from skedastic.core.learning_curve import Rise
from skedastic.core.samplers import Sampler
from skedastic.errors import UserError
from skedastic.methods.bases.card import Capabilities, ProbabilitiesOf
from skedastic.methods.bases.engine import Engine, OwnOptimizer
from skedastic.methods.bases.method import MakeNet, Method, Stage
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, Out, State, Step
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM


@dataclass(frozen=True, kw_only=True)
class Wrapper(Method):
    """A method around another, `base`, whatever its state is."""

    base: Method = setting(
        factory=ERM, meaning="the method that is trained so, with its settings, such as har(strength=0.5)"
    )

    way: ClassVar[str] = ""  # PERTURBED or MIXED; empty where any method can be wrapped

    def __post_init__(self) -> None:
        super().__post_init__()
        name, inside = self.card.name, self.base.card.name
        if any(method.card.name == name for method in wrapped(self.base)):
            rule = f"it is wrapped in {name} twice; once is enough"
            raise UserError(rule, setting=self.place("base"), value=inside)
        if (reason := self.base.capabilities.incompatible_with.get(self.way)) is not None:
            raise UserError(f"it can't be trained so: {reason}", setting=self.place("base"), value=inside)
        object.__setattr__(self, "base", self.base.of_networks())  # nothing else can be trained so

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `base`, wrapped; those that can't be, such as one that only averages, as they are."""
        return tuple(
            stage
            if self.way in stage.method.capabilities.incompatible_with
            else replace(stage, method=replace(self, base=stage.method))
            for stage in self.base.stages(task)
        )

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """As `base` does."""
        return self.base.trials(task)

    def so_far(self, task: Task) -> Best | None:
        """As `base` does."""
        return self.base.so_far(task)

    def rises(self, task: Task) -> tuple[Rise, ...]:
        """As `base` does."""
        return self.base.rises(task)

    @property
    def capabilities(self) -> Capabilities:
        """Those of both."""
        return super().capabilities & self.base.capabilities

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """True classes where those of `base` are; else neither."""
        inside = self.base.probabilities_of
        return inside if inside == "true classes" else "neither"

    def init(self, task: Task, make_net: MakeNet) -> State:
        """As `base` does."""
        state: State = self.base.init(task, make_net)
        return state

    def inside(self, state: State) -> State:
        """Return the state of `base` in a state of its own, of several the first."""
        return state

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

    def observe(self, step: Step) -> None:
        """As `base` does."""
        self.base.observe(step)

    def objective(self, step: Step) -> Objective:
        """As `base` does."""
        return self.base.objective(step)

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """As `base` does."""
        return self.base.end_epoch(state, task, clock, engine)

    def least_batch(self, task: Task) -> int:
        """As `base` does."""
        return self.base.least_batch(task)

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """As `base` does."""
        return self.base.notes(rows, batch_size)

    def net(self, state: State) -> nn.Module:
        """As `base` does."""
        return self.base.net(state)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """As `base` does."""
        return self.base.predict(state, x)


def wrapped(method: Method) -> Iterator[Method]:
    """Yield a method, and the ones inside of it, down to the innermost.

    Parameters
    ----------
    method : Method
        Any method.
    """
    yield method
    if isinstance(method, Wrapper):
        yield from wrapped(method.base)
