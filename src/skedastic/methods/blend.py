"""Blend: the mean of a network and of boosted trees, which err apart, for targets that are numbers.

Source: Perrone, Cooper, "When Networks Disagree: Ensemble Methods for Hybrid Neural Networks", 1993, equation 3: the
squared error of the mean of two regressors is below the mean of theirs, by a quarter of how much they differ. The
network is trained by `base`, HAR or any other method; the trees are those of `skedastic.methods.trees`, and are fitted
to the examples of the last epoch at its end. Neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.choice import Trial
from skedastic.core.weighted_mean import WeightedMean
from skedastic.errors import UserError
from skedastic.methods.bases.card import COLUMNS, MIXED, PERTURBED, REGRESSION, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Stage
from skedastic.methods.bases.step import Batch, Clock, Logs, State, outputs
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.wrapper import Wrapper
from skedastic.methods.trees import Trees

BESIDE = "beside"  # the state of the trees, in that of `base`


@dataclass(frozen=True, kw_only=True)
class Blend(Wrapper):
    """Train a network by `base`, fit boosted trees to the same examples, and predict the mean of both."""

    share: float = setting(0.5, "of the trees in the mean; 0 is `base` as it is", "[0, 1)")

    card: ClassVar[Card] = Card(
        name="blend",
        title="The mean of a network and of boosted trees, around any method",
        paper="Perrone and Cooper, When Networks Disagree, 1993; Friedman 2001",
        equations="(1 − share) f(x) + share (base + Σ_t value_t(x))",
        family="around another method",
        capabilities=Capabilities(
            tasks=REGRESSION,
            takes=(COLUMNS,),
            incompatible_with={
                MIXED: "its trees fit examples as they are; turn them round, as in blend(base=mixup)",
                PERTURBED: "its trees have no weights; turn them round, as in blend(base=sam)",
            },
        ),
        reduces_to_erm=({"share": 0.0},),
        cost="that of `base`, and 0.1 to 0.5 × plain training of a small network",
    )

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `base`; those on all rows have trees, also where they go on from another state."""
        stages = zip(self.base.stages(task), super().stages(task), strict=True)
        return tuple(
            own if own.data is not None else replace(blended, enter=partial(self._entered, enter=own.enter))
            for own, blended in stages
        )

    def init(self, task: Task, make_net: MakeNet) -> State:
        """Return the state of `base`, and no trees yet in it. Raises UserError where examples are no rows."""
        if not task.columns:
            name = self.card.name
            rule = "its trees read rows of numbers and categories, and these are images or tokens; take another method"
            raise UserError(rule, setting="method", value=name, given=name)
        return self._with_trees(super().init(task, make_net), task)

    def _entered(self, state: State, task: Task, enter: Callable[[Any, Task], State] | None) -> State:
        """Return the state that a stage goes on from, with no trees yet in it."""
        return self._with_trees(state if enter is None else enter(state, task), task)

    def _with_trees(self, state: State, task: Task) -> State:
        if self.share:
            state.add_module(BESIDE, Trees().init(task, nn.Module))
        return state

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step of `base`; in the last epoch remember who was met."""
        if self._fits_now(clock):
            Trees().step(_beside(state), batch, clock, engine)
        return self.base.step(state, batch, clock, engine)

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """End the epoch of `base`; after the last one fit the trees."""
        if self._fits_now(clock):
            Trees().end_epoch(_beside(state), task, clock, engine)
        return self.base.end_epoch(state, task, clock, engine)

    def net(self, state: State) -> nn.Module:
        """Return the network and the trees as one module."""
        own = self.base.net(state)
        return WeightedMean([own, _beside(state).net], [1 - self.share, self.share]) if self.share else own

    def predictor(self, trials: Sequence[Trial]) -> str:
        """Return that both predict."""
        trees = Trees().predictor(trials)
        return f"the mean of a network and {trees}" if self.share else self.base.predictor(trials)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return the mean of both, [B]."""
        own = self.base.predict(state, x)
        return own if not self.share else (1 - self.share) * own + self.share * outputs(_beside(state).net(x))

    def _fits_now(self, clock: Clock) -> bool:
        """Return whether this is the last epoch."""
        return bool(self.share) and clock.epoch + 1 == clock.epochs


def _beside(state: State) -> Any:
    return cast(Any, state.get_submodule(BESIDE))
