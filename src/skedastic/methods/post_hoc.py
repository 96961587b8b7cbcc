"""Post-hoc logit adjustment, around any method: shares of the classes are made up for when the network predicts.

Source: Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021, equation 9: the prediction is the largest of
f_c(x) − τ log π_c, with π the classes' shares of the training labels. Training knows nothing of it. With a target π',
the shares of the classes where the model will be used, it is log π/π' in place of log π. The paper's other way is the
loss `logit-adjusted`; after training on mixtures of examples, whose labels are soft, this one was the better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.shifted import Shifted
from skedastic.losses.logit_adjusted import shares_over_target
from skedastic.methods.bases.card import CLASSIFICATION, Capabilities, Card, ProbabilitiesOf
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Stage
from skedastic.methods.bases.step import Batch, Clock, Logs, State
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.wrapper import Wrapper

SHIFT = "shift"  # what is added to the logits, [C]: a buffer in the state of `base`
LEAST = -30.0  # what is added to the logit of a class without examples


@dataclass(frozen=True, kw_only=True)
class PostHoc(Wrapper):
    """Train by `base`, and take τ log π_c off the logits when predicting."""

    tau: float = setting(1.0, "how much the shares of the classes are made up for; 0 is `base` as it is", "[0, inf)")
    target: tuple[float, ...] = setting(
        (), "shares to predict at, of the classes in their order; by default all alike", "(0, inf)"
    )

    card: ClassVar[Card] = Card(
        name="post-hoc",
        title="Logit adjustment after training, around any method",
        paper="Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021",
        equations="argmax_c f_c(x) − τ log π_c (eq. 9)",
        family="around another method",
        capabilities=Capabilities(tasks=CLASSIFICATION),
        reduces_to_erm=({"tau": 0.0},),
        cost="that of `base`",
    )

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """As of `base` where nothing is made up for; else neither."""
        return "neither" if self.tau else self.base.probabilities_of

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `base`, with the shift, also where they go on from another state.

        What is tried on a part and predicts another, to be compared, is left as it is.
        """
        stages = zip(self.base.stages(task), super().stages(task), strict=True)
        return tuple(
            own if own.is_compared else replace(shifted, enter=partial(self._entered, enter=own.enter))
            for own, shifted in stages
        )

    def init(self, task: Task, make_net: MakeNet) -> State:
        """Return the state of `base`, and the shift in it."""
        return self._with_shift(super().init(task, make_net), task)

    def _entered(self, state: State, task: Task, enter: Callable[[Any, Task], State] | None) -> State:
        """Return the state that a stage goes on from, with the shift in it."""
        return self._with_shift(state if enter is None else enter(state, task), task)

    def _with_shift(self, state: State, task: Task) -> State:
        count = task.class_count.double()
        added = -self.tau * shares_over_target(count, self.target)
        state.register_buffer(SHIFT, added.where(count > 0, LEAST if self.tau else 0.0).float())
        return state

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step of `base`."""
        return self.base.step(state, batch, clock, engine)

    def net(self, state: State) -> nn.Module:
        """Return the network with the shift as one module."""
        return Shifted(self.base.net(state), state.get_buffer(SHIFT))

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return shifted logits, [B, C]."""
        return self.base.predict(state, x) + state.get_buffer(SHIFT)
