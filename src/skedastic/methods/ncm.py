"""NCM: the nearest class mean, after training (Kang et al., "Decoupling Representation and Classifier for Long-Tailed
Recognition", ICLR 2020, section 4.2).

The features of the training examples are brought to length 1 and averaged by class; an example is of the class whose
mean is nearest (the authors' code, `l2n`; the paper's text also names cosines of unnormalized means). `centred` first
takes the mean of all features off (the authors' code, `cl2n`). Nothing is trained: one pass over the data, augmented
as in training, gives the means (two where they are centred). The logits are −scale · distance², so that softmax gives
probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.heads import SCALE, NearestMean, features_of, find_head, replace_head, run_with_features
from skedastic.errors import UserError
from skedastic.methods.bases.card import CLASSIFICATION, LAST_LAYER, MIXED, PERTURBED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import Method, Stage
from skedastic.methods.bases.one_network import OneNetworkState
from skedastic.methods.bases.recipe import Recipe, own_name
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, State, Step
from skedastic.methods.bases.task import Task


class _MeansState(OneNetworkState):
    """A network whose head is class means, and the sums of features so far."""

    total: Tensor
    count: Tensor

    def __init__(self, net: nn.Module, head: NearestMean) -> None:
        super().__init__(net)
        self.register_buffer("total", torch.zeros_like(head.mean))  # [C, d]
        self.register_buffer("count", torch.zeros(len(head.mean)))  # [C]


@dataclass(frozen=True, kw_only=True)
class _Means(Method[_MeansState]):
    """The stage that averages: a pass over the data without a step, or two where features are centred."""

    centred: bool
    scale: float

    card: ClassVar[Card] = Card(
        name="ncm",
        title="Class means",
        paper="Kang et al. 2020",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            incompatible_with={PERTURBED: "it trains nothing", MIXED: "it averages examples as they are"},
        ),
    )

    def entered(self, state: _MeansState, task: Task) -> State:
        """Return a state whose head is class means, all 0 so far."""
        classes = len(task.classes)
        features = features_of(find_head(state.net, classes)[2])
        head = NearestMean(features, classes, self.scale)
        replace_head(state.net, classes, lambda _: head)
        return _MeansState(state.net, head)

    def param_groups(self, state: _MeansState) -> Mapping[str, list[nn.Parameter]]:
        """Return none: nothing is trained."""
        return {}

    def objective(self, step: Step[_MeansState]) -> Objective:
        """Refuse: there is nothing to minimize."""
        raise UserError("it averages features, and minimizes nothing", setting="method", value="ncm", given="ncm")

    def step(self, state: _MeansState, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Add the batch's features to the sums."""
        head = find_head(state.net, len(state.count))[2]
        assert isinstance(head, NearestMean)
        with torch.no_grad():
            x = run_with_features(state.net, len(state.count), batch.x)[1].to(head.mean)
        x = x if self._centring(clock) else head.normalized(x)
        state.total.index_add_(0, batch.y, x)
        state.count.index_add_(0, batch.y, torch.ones_like(batch.y, dtype=state.count.dtype))
        return {}

    def end_epoch(self, state: _MeansState, task: Task, clock: Clock, engine: Engine) -> None:
        """Set the centre, or the means."""
        head = find_head(state.net, len(state.count))[2]
        assert isinstance(head, NearestMean)
        if self._centring(clock):
            head.centre.copy_(state.total.sum(0) / state.count.sum())
        else:
            head.mean.copy_(state.total / state.count[:, None])
        state.total.zero_()
        state.count.zero_()

    def _centring(self, clock: Clock) -> bool:
        return self.centred and clock.epoch == 0


@dataclass(frozen=True, kw_only=True)
class NCM(Recipe):
    """Train, and then classify by the nearest mean of the classes' features."""

    centred: bool = setting(False, "take the mean of all features off first (the authors' code)")
    scale: float = setting(
        SCALE, "of the squared distances; moves probabilities, not predicted classes; 16 is usual", "(0, inf)"
    )

    card: ClassVar[Card] = Card(
        name="ncm",
        title="Nearest class mean of the features",
        paper="Kang et al., Decoupling Representation and Classifier, ICLR 2020",
        equations="argmin ‖x/‖x‖ − μ_c‖ (section 4.2)",
        family="two stages",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            takes=(LAST_LAYER,),
        ),
        never_erm="another classifier takes the place of the trained one",
        cost="1 × plain training, and a forward pass over the data",
    )

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `first`, and that of the means."""
        first = self.first.stages(task)
        means = _Means(centred=self.centred, scale=self.scale)
        stage = Stage(
            name=own_name("means", first),
            method=means,
            passes=1 + self.centred,
            reinit=False,
            enter=means.entered,
            trainable=lambda state: [],
        )
        return (*first, stage)
