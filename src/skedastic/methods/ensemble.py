"""Ensemble: several networks from different starts, around any method; their probabilities are averaged.

Source: Lakshminarayanan, Pritzel, Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles", NeurIPS 2017, section 2.4: each network is trained by itself on all examples, and p(y|x) = (1/M) Σ_m
p_m(y|x); for numbers it is the mean. Without their adversarial training. Here the networks take their steps in turn on
the same batches: their starts, dropout and mixtures differ, and the order of examples, which the paper shuffles for
each, does not. A stage that hands something on, such as whom to leave out, hands on what the first network says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.mean_of_networks import MeanOfNetworks, mean_prediction
from skedastic.methods.bases.card import MIXED, PERTURBED, Capabilities, Card, ProbabilitiesOf
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Stage
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, Out, State, Step
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.wrapper import Wrapper

IN_TURN = "its networks take their steps in turn; turn them round, so that it is inside: ensemble(base=…)"


class EnsembleState(State):
    """The states of all networks.

    Parameters
    ----------
    members : iterable of State
        One of each network.
    """

    def __init__(self, members: Iterable[State]) -> None:
        nn.Module.__init__(self)
        self.gathered = list[Tensor]()
        self.members = nn.ModuleList(members)

    def networks(self) -> Iterator[nn.Module]:
        """Yield those of all networks."""
        for own in _each(self):
            yield from own.networks()

    def of_examples(self) -> Iterator[nn.Module]:
        """Yield those of all networks."""
        for own in _each(self):
            yield from own.of_examples()

    @property
    def net(self) -> nn.Module:  # type: ignore[override]
        """The first network."""
        return _each(self)[0].net


@dataclass(frozen=True, kw_only=True)
class Ensemble(Wrapper):
    """Train several networks by `base`, and predict the mean of their probabilities, or of their numbers."""

    members: int = setting(3, "M, how many networks; 1 is `base` as it is", "[1, 100]")

    card: ClassVar[Card] = Card(
        name="ensemble",
        title="The mean of several networks, around any method",
        paper="Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, "
        "NeurIPS 2017",
        equations="p(y|x) = (1/M) Σ_m p_m(y|x) (section 2.4)",
        family="around another method",
        capabilities=Capabilities(
            incompatible_with={
                PERTURBED: IN_TURN,
                MIXED: IN_TURN,
            },
        ),
        reduces_to_erm=({"members": 1},),
        cost="`members` × that of `base`",
    )

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """As of `base`: a mean of probabilities is of what they are of."""
        return self.base.probabilities_of

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `base`, each for all networks; trials, which are compared, are of one."""
        stages = zip(self.base.stages(task), super().stages(task), strict=True)
        return tuple(own if own.is_compared else _of_all(stage) for own, stage in stages)

    def init(self, task: Task, make_net: MakeNet) -> EnsembleState:
        """Return fresh states of `base`, each with a start of its own."""
        return EnsembleState(self.base.init(task, make_net) for _ in range(self.members))

    def inside(self, state: State) -> State:
        """Return the state of the first network."""
        return _each(state)[0]

    def param_groups(self, state: State) -> Mapping[str, list[nn.Parameter]]:
        """Return the groups of `base`, each of all networks: a network's step leaves the others as they are."""
        groups = [self.base.param_groups(own) for own in _each(state)]
        return {name: [p for own in groups for p in own[name]] for name in groups[0]}

    def forward(self, state: State, batch: Batch) -> Out:
        """Run all networks on a batch; `extra` is what each makes of it."""
        outs = [self.base.forward(own, batch) for own in _each(state)]
        return Out(mean_prediction([out.logits for out in outs]), outs)

    def observe(self, step: Step) -> None:
        """As `base` does with each network."""
        for own in _steps(step):
            self.base.observe(own)

    def objective(self, step: Step) -> Objective:
        """Return the sum of the networks' objectives."""
        found = [self.base.objective(own) for own in _steps(step)]
        total = torch.stack([own.total for own in found]).sum()
        losses = torch.stack([own.per_example for own in found]).mean(0)
        return Objective(total, losses, _mean([dict(own.logs) for own in found]))

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step of `base` with each network."""
        return _mean([self.base.step(own, batch, clock, engine) for own in _each(state)])

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """End the epoch of `base` with each network."""
        return _mean([self.base.end_epoch(own, task, clock, engine) or {} for own in _each(state)])

    def predictor(self, trials: Sequence[Any]) -> str:
        """Return that it is a mean."""
        inside = self.base.predictor(trials)
        return inside if inside or self.members == 1 else f"the mean of {self.members} networks"

    def net(self, state: State) -> nn.Module:
        """Return all networks as one module."""
        nets = [self.base.net(own) for own in _each(state)]
        return nets[0] if len(nets) == 1 else MeanOfNetworks(nets)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return logits of the mean of the probabilities, [B, C]; or the mean of numbers, [B]."""
        predicted = [self.base.predict(own, x) for own in _each(state)]
        return mean_prediction(predicted)


def _each(state: State) -> list[State]:
    """Return the state of each network."""
    assert isinstance(state, EnsembleState)
    return list(state.members)  # type: ignore[arg-type]


def _of_all(stage: Stage) -> Stage:
    """Return a stage whose steps between states are those of each network."""
    enter, trainable, after = stage.enter, stage.trainable, stage.after
    return replace(
        stage,
        enter=None if enter is None else partial(_entered, enter=enter),
        trainable=None if trainable is None else partial(_trainable, trainable=trainable),
        after=None if after is None else partial(_after, after=after),
    )


def _entered(state: State, task: Task, enter: Callable[[Any, Task], State]) -> EnsembleState:
    return EnsembleState([enter(own, task) for own in _each(state)])


def _trainable(state: State, trainable: Callable[[Any], Iterable[nn.Parameter]]) -> list[nn.Parameter]:
    return [p for own in _each(state) for p in trainable(own)]


def _after(state: State, task: Task, after: Callable[[Any, Task], Task]) -> Task:
    return after(_each(state)[0], task)


def _steps(step: Step) -> Iterator[Step[State]]:
    """Yield the step of each network."""
    for own, out in zip(_each(step.state), step.out.extra, strict=True):
        yield Step(own, step.batch, out, step.clock)


def _mean(logs: Sequence[Logs]) -> Logs:
    """Return the means of what the networks log; of one network what it logs."""
    if len(logs) == 1:
        return logs[0]
    return {name: torch.stack([own[name].double() for own in logs]).mean(0) for name in logs[0]}
