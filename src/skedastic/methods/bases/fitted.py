"""The base of methods that train no network: one pass gathers the rows, and a model is fitted to them at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.resizable import Resizable
from skedastic.errors import UserError
from skedastic.losses.logit_adjusted import shares_over_target
from skedastic.methods.bases.card import CLASSIFICATION, COLUMNS, MIXED, PERTURBED, Capabilities, ProbabilitiesOf
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Method
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, State, Step
from skedastic.methods.bases.task import Task

NEVER = -30.0  # the logit of a class without examples
M = TypeVar("M", bound=Resizable)


class FittedState(State, Generic[M]):
    """The model; the names of the examples that the pass has met are gathered."""

    net: M


@dataclass(frozen=True, kw_only=True)
class Fitted(Method[FittedState[M]], Generic[M]):
    """Fit a model to all rows at once, and make up for the shares of the classes afterwards."""

    tau: float = setting(0.0, "how much the shares of the classes are made up for, wholly with 1", "[0, inf)")
    target: tuple[float, ...] = setting(
        (), "shares to predict at, of the classes in their order; by default all alike", "(0, inf)"
    )

    passes: ClassVar[int | None] = 1

    @property
    def capabilities(self) -> Capabilities:
        """Shares that are made up for are those of classes."""
        own = super().capabilities
        return own & Capabilities(tasks=CLASSIFICATION) if self.tau or self.target else own

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """Labels, where shares are not made up for."""
        return "neither" if self.tau else "labels"

    def shift(self, y: Tensor, classes: int) -> Tensor:
        """Return what is taken off the logits of each class, τ log (π / π'), [C] float64; −inf for an absent one.

        Source: Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021, equation 9.

        Parameters
        ----------
        y : Tensor
            Labels, [n] int64, of which π are the shares.
        classes : int
            C.
        """
        return self.tau * shares_over_target(torch.bincount(y, minlength=classes), self.target)

    @abstractmethod
    def empty(self, task: Task) -> M:
        """Return the model before it is fitted."""

    @abstractmethod
    def fit(self, model: M, x: Tensor, y: Tensor, task: Task) -> None:
        """Fit the model.

        Parameters
        ----------
        model : Resizable
            The model, which takes what is found.
        x : Tensor
            Rows of numbers, then of ids of categories, [n, d] float32.
        y : Tensor
            Labels, [n] int64, or standardized numbers, [n].
        task : Task
            The data, as far as a method may know them.
        """

    def init(self, task: Task, make_net: MakeNet) -> FittedState[M]:
        """Return the model before it is fitted. Raises UserError where examples are no rows of numbers."""
        if not task.columns:
            name = self.card.name
            rule = "it reads rows of numbers and categories, and these are images or tokens; take another method"
            raise UserError(rule, setting="method", value=name, given=name)
        return FittedState(self.empty(task))

    def param_groups(self, state: FittedState[M]) -> Mapping[str, list[nn.Parameter]]:
        """Return none: no optimizer is stepped."""
        return {}

    def objective(self, step: Step[FittedState[M]]) -> Objective:
        """Refuse: there is no objective of a step."""
        name = self.card.name
        raise UserError("it is fitted to all rows at once", setting="method", value=name, given=name)

    def step(self, state: FittedState[M], batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Remember who was met."""
        state.gathered.append(batch.index.cpu())
        return {}

    def end_epoch(self, state: FittedState[M], task: Task, clock: Clock, engine: Engine) -> None:
        """Fit the model to those who were met."""
        index = torch.cat(state.gathered).sort().values
        state.gathered.clear()
        batches = ((b.x.flatten(1).cpu(), b.y.cpu()) for b in engine.examples(index))
        x, y = map(torch.cat, zip(*batches, strict=True))
        self.fit(state.net, x, y.argmax(1) if y.dim() == 2 else y, task)  # of votes the majority


def capabilities() -> Capabilities:
    """Return those of a method that trains no network."""
    apart = {PERTURBED: "it trains no network", MIXED: "it fits rows as they are"}
    return Capabilities(takes=(COLUMNS,), incompatible_with=apart)
