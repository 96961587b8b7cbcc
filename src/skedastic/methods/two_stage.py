"""Two stages: one method learns the network, another goes on with it, with all of it or with its last layers alone.

Sources: cRT, classifier re-training (Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR
2020, section 4.2): plain training, then a newly initialized classifier on class-balanced batches, the rest frozen. Joint (Qi
et al., Table 3): the second stage trains everything. ABSGD's second stage (Qi et al., section 3.6) trains the classifier, or
with the last block, by ABSGD. DMI (Xu et al. 2019) and truncated GCE (Zhang and Sabuncu 2018) need a network that has
learned, too. All are presets of this recipe.

Kang et al.'s code (github.com/facebookresearch/classifier-balancing) freezes weights but lets the statistics of BatchNorm
follow the balanced batches; here what is frozen is in evaluation mode, and does not move. Its second stage has 10 epochs
after 90, the default share here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, get_args

from torch import Tensor, nn

from skedastic.core.heads import fresh, part, replace_head
from skedastic.core.samplers import ClassBalanced
from skedastic.errors import UserError, check_choice
from skedastic.methods.base import (
    LAST_LAYER,
    Batch,
    Card,
    Clock,
    Method,
    Objective,
    Optimizer,
    Out,
    Stage,
    State,
    Task,
)
from skedastic.methods.erm import ERM
from skedastic.methods.one_network import OneNetwork


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
    def refuses(self) -> Mapping[str, str]:
        """How the first stages can't be wrapped."""
        return {**self.first.refuses, **self.card.refuses}

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


@dataclass(frozen=True, kw_only=True)
class TwoStage(Recipe):
    """Train by one method, and go on by another."""

    then: OneNetwork = field(default_factory=lambda: ERM(sampler=ClassBalanced()))
    train: str = "head"
    fresh_head: bool = True
    begins: float = 0.9
    lr_scale: float = 1.0
    optimizer: Optimizer = "budget"

    card: ClassVar[Card] = Card(
        name="two-stage",
        title="One method, and then another on the whole network or its last layers",
        paper="Kang et al., Decoupling Representation and Classifier, ICLR 2020; Qi et al., ABSGD, section 3.6",
        equations="stage 1: `first`; stage 2: `then`, on `train`",
        family="two stages",
        supports=frozenset({"classification", "regression"}),
        no_limit="the optimizer and its schedule begin anew with the second stage",
        parameters={
            "first": "the method of the first stage, such as erm or absgd(lam=5)",
            "then": "the method of the second, one that trains a single network; erm(sampler=class-balanced) by default",
            "train": "what the second stage trains: head, last-block (with the head), all, or patterns of module names",
            "fresh_head": "whether the second stage begins with a newly initialized last layer",
            "begins": "the fraction of the epochs after which the second stage begins, in (0, 1)",
            "lr_scale": "of the second stage's learning rate, > 0",
            "optimizer": "of the second stage: the budget's, or sgd, adam or adamw, with the budget's learning rate converted",
        },
        cost="1 × plain training; of the second stage only what it trains is backpropagated",
    )

    def __post_init__(self) -> None:
        check_second("TwoStage", self.begins, self.lr_scale)
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        if not isinstance(self.then, OneNetwork):
            raise UserError(
                f"TwoStage(then={self.then.card.name}): the second stage goes on with one network; take a method such as erm"
            )

    @property
    def supports(self) -> frozenset[str]:
        """The tasks that both stages are for."""
        return super().supports & self.then.supports

    @property
    def needs(self) -> frozenset[str]:
        """What both stages need."""
        return self.first.needs | self.then.needs

    @property
    def refuses(self) -> Mapping[str, str]:
        """How neither stage can be wrapped."""
        return {**super().refuses, **self.then.refuses}

    @property
    def requirements(self) -> tuple[str, ...]:
        """What both stages need, in words, and a last layer where it is to be found."""
        found = self.fresh_head or self.train in ("head", "last-block")
        return (*super().requirements, *self.then.requirements, *([LAST_LAYER] if found else []))

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `first`, shortened, and the second."""
        first = self.shortened(task, self.begins)
        alone, *more = self.then.stages(task)
        if more:
            raise UserError(
                f"TwoStage(then={self.then.card.name}): it has {1 + len(more)} stages itself; take one that has one"
            )
        outputs = self.then.outputs_for(task)
        second = replace(
            alone,
            name=own_name("second", first),
            optimizer=alone.optimizer if self.optimizer == "budget" else self.optimizer,
            epochs=1 - self.begins,
            reinit=False,
            enter=self._entered,
            trainable=lambda state: part(state.net, outputs, self.train),
            lr_scale=self.lr_scale,
        )
        return (*first, second)

    def _entered(self, state: State, task: Task) -> State:
        net, last = state.net, last_stage(self.first, task)
        if isinstance(last, OneNetwork) and last.outputs_for(task) != self.then.outputs_for(task):
            net = self.then.with_head(net, task, last.outputs_for(task))
        entered = self.then.init(task, lambda: net)  # with the head that `then` asks for, where it has another
        if self.fresh_head:
            replace_head(entered.net, self.then.outputs_for(task), fresh)
        return entered
