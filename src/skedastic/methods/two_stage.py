"""Two stages: one method learns the network, another trains it further, all of it or its last layers alone.

Sources: cRT, classifier re-training (Kang et al., "Decoupling Representation and Classifier for Long-Tailed
Recognition", ICLR 2020, section 4.2): plain training, then a newly initialized classifier on class-balanced batches,
the rest frozen. Joint (Qi et al., Table 3): the second stage trains everything. ABSGD's second stage (Qi et al.,
section 3.6) trains the classifier, or with the last block, by ABSGD. DMI (Xu et al. 2019) and truncated GCE (Zhang and
Sabuncu 2018) need a network that has learned, too. All are presets of this recipe.

Kang et al.'s code (github.com/facebookresearch/classifier-balancing) freezes weights but lets the statistics of
BatchNorm follow the balanced batches; here the frozen part is in evaluation mode, and does not move. Its second stage
has 10 epochs after 90, the default share here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from skedastic.configurable import setting
from skedastic.core.heads import fresh, part, replace_head
from skedastic.core.samplers import ClassBalanced
from skedastic.errors import UserError
from skedastic.methods.bases.card import LAST_LAYER, Capabilities, Card
from skedastic.methods.bases.method import Method, Optimizer, Stage
from skedastic.methods.bases.one_network import OneNetwork, OneNetworkState
from skedastic.methods.bases.recipe import Recipe, last_stage, own_name
from skedastic.methods.bases.step import State
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM


@dataclass(frozen=True, kw_only=True)
class TwoStage(Recipe):
    """Train by one method, and then by another."""

    then: OneNetwork = setting(
        factory=lambda: ERM(sampler=ClassBalanced()),
        meaning="the method of the second, one that trains a single network; erm(sampler=class-balanced) by default",
    )
    train: str = setting(
        "head",
        "the part that the second stage trains: head, last-block (with the head), all, or patterns of module names",
    )
    fresh_head: bool = setting(True, "whether the second stage begins with a newly initialized last layer")
    begins: float = setting(0.9, "the fraction of the epochs after which the second stage begins", "(0, 1)")
    lr_scale: float = setting(1.0, "of the second stage's learning rate", "(0, inf)")
    optimizer: Optimizer = setting(
        "configured",
        "of the second stage: the training configuration's, or sgd, adam or adamw, with the training configuration's "
        "learning rate converted",
    )

    card: ClassVar[Card] = Card(
        name="two-stage",
        title="One method, and then another on the whole network or its last layers",
        paper="Kang et al., Decoupling Representation and Classifier, ICLR 2020; Qi et al., ABSGD, section 3.6",
        equations="stage 1: `first`; stage 2: `then`, on `train`",
        family="two stages",
        never_erm="the optimizer and its schedule begin again with the second stage",
        cost="1 × plain training; of the second stage only the trained part is backpropagated",
    )

    def __post_init__(self) -> None:
        if isinstance(self.then, Method) and not isinstance(self.then, OneNetwork):
            rule = "the second stage trains one network; take a method such as erm"
            raise UserError(rule, setting=self.place("then"), value=self.then.card.name)
        super().__post_init__()

    @property
    def capabilities(self) -> Capabilities:
        """Those of both stages; they take a last layer where it is replaced or trained alone."""
        able = super().capabilities & self.then.capabilities
        own_head = self.fresh_head or self.train in ("head", "last-block")
        return able & Capabilities(takes=(LAST_LAYER,)) if own_head else able

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `first`, shortened, and the second."""
        first = self.shortened(task, self.begins)
        alone, *more = self.then.stages(task)
        if more:
            then = self.then.card.name
            rule = f"it has {1 + len(more)} stages itself; take one that has one"
            raise UserError(rule, setting=self.place("then"), value=then)
        outputs = self.then.outputs_for(task)
        second = replace(
            alone,
            name=own_name("second", first),
            optimizer=alone.optimizer if self.optimizer == "configured" else self.optimizer,
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
        entered: OneNetworkState = self.then.init(task, lambda: net)  # with the head that `then` asks for
        if self.fresh_head:
            replace_head(entered.net, self.then.outputs_for(task), fresh)
        return entered
