"""The interface of a training method: what it is given, what it says of itself, what it does.

A method is a frozen dataclass: its fields are its hyperparameters. Everything that changes while training lives in its
`State`, an `nn.Module`, so that it is saved, resumed and moved like everything else in torch. To add a method, add one
file to this package (CONTRIBUTING.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from skedastic.core.samplers import Sampler, Shuffle
from skedastic.core.strengths import GroupStats

Logs = dict[
    str, Tensor
]  # scalars and [B] tensors, detached and not changed later; the loop averages them over the epoch
MakeNet = Callable[[], nn.Module]  # gives a newly initialized network each time
OptimizerName = Literal["sgd", "adam", "adamw"]
Optimizer = Literal["configured", OptimizerName]  # what a stage may step by


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of B examples."""

    x: Tensor  # [B, ...]
    y: Tensor  # [B] integer labels, or [B, C] soft ones, or standardized real targets [B]
    index: Tensor  # [B] the examples' stable names, for state per example
    group: Tensor  # [B] in 0..G-1
    classes: int = 0  # C; 0 where targets are real


class Clock(NamedTuple):
    """Where training stands."""

    epoch: int  # 0..epochs-1 of this stage
    epochs: int
    step: int  # steps taken in this stage


class Out(NamedTuple):
    """What a forward gives; `extra` carries what the method's loss needs of it."""

    logits: Tensor  # [B, C]; for real targets the predictions [B]
    extra: Any = None


class Objective(NamedTuple):
    """What a step minimizes."""

    total: Tensor  # scalar
    per_example: Tensor  # [B] the unregularized, unweighted losses, detached
    logs: Mapping[str, Tensor] = {}  # what the method wants to see in the history


@dataclass(frozen=True, eq=False)
class Task:
    """What a method may know of the data before it trains: shapes, group statistics and no clean label."""

    input_shape: tuple[int, ...]  # of one example
    classes: tuple[str, ...]  # none where the targets are real
    index: Tensor  # [n] the stable names of the training examples
    y: Tensor  # [n] their labels as given, or standardized real targets
    group: Tensor  # [n] in 0..G-1
    groups: tuple[str, ...]
    density: Tensor  # [G] of each group, as in GroupStats
    class_count: Tensor  # [C] training examples of each class
    seed: int = 0  # of the run
    stats: GroupStats | None = None  # noise and density of each group, where they were estimated
    reference: Tensor | None = None  # [m] the labels of the trusted examples, where there are some
    found: Mapping[str, Tensor] = field(
        default_factory=dict
    )  # what earlier stages handed on, by a name of the method's own


GROUP_STATS = "group_stats"  # a need: an estimate of noise and density per group
REFERENCE = "reference"  # a need, and the stream that it comes by: trusted examples, apart from the training set
NEEDS_REFERENCE = (
    "learns from a reference set, trusted examples beside the training set, and there is none: name a file with "
    "--reference, or a share of the training rows to set apart, such as --reference 0.05"
)
LAST_LAYER = "a last nn.Linear"
IMAGES = "images"
REAL_INPUTS = "numbers or pixels"  # no ids or tokens: it mixes inputs, or moves them a little
PERTURBED = "perturbed"  # wrapped so: its objective is taken once more, at other weights or with something added
MIXED = "mixed"  # wrapped so: its examples are mixtures of two, and so are their labels


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a method says of itself. Nothing dispatches on a method's class or name; the pipeline asks its card."""

    name: str
    title: str
    paper: str
    equations: str = ""
    family: str = "other"  # under which it is listed
    needs: frozenset[str] = frozenset()  # GROUP_STATS, REFERENCE
    supports: frozenset[str] = frozenset({"classification"})  # and "regression", or that alone
    requires: tuple[str, ...] = ()  # what else it takes, in words, such as LAST_LAYER
    incompatible_with: Mapping[str, str] = field(
        default_factory=dict
    )  # how it can't be wrapped, PERTURBED or MIXED -> why
    reduces_to_erm: tuple[Mapping[str, Any], ...] = ()  # settings in which the method equals plain training to the bit
    never_erm: str = ""  # why there are none, where there are none
    parameters: Mapping[str, str] = field(default_factory=dict)  # field -> meaning, range, unit
    cost: str = ""
    memory: str = ""  # what it keeps of each example, in words


class State(nn.Module):
    """The networks and everything else that a method changes while it trains."""

    net: nn.Module

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


def accuracy(logits: Tensor, y: Tensor) -> Logs:
    """Return who is classified as labelled, [B] bool, to log; nothing where targets are real."""
    if y.dim() == 2:
        y = y.argmax(1)
    return {} if y.is_floating_point() else {"accuracy": logits.detach().argmax(1) == y}


def outputs(raw: Tensor) -> Tensor:
    """Return what a network gives as methods see it: logits [B, C] as they are, the numbers [B, 1] of one output as [B]."""
    return raw.squeeze(1) if raw.dim() == 2 and raw.shape[1] == 1 else raw


@contextmanager
def evaluating(state: nn.Module) -> Iterator[None]:
    """Put a state in evaluation mode, without gradients; afterwards each module is in the mode in which it was."""
    modes = [(module, module.training) for module in state.modules()]
    state.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class Engine(Protocol):
    """The only thing that steps an optimizer. `training.engine.PlainEngine` is bare torch."""

    device: torch.device

    def update(self, name: str, loss: Tensor) -> None:
        """Backward `loss` and step the optimizer of parameter group `name`: `backward`, and then `step`."""
        ...

    def backward(self, loss: Tensor, parameters: Sequence[Tensor] | None = None) -> None:
        """Accumulate the gradients of `loss`: of all parameters that it depends on, or of these alone."""
        ...

    def step(self, name: str) -> None:
        """Step the optimizer of parameter group `name` by the gradients accumulated, and clear them."""
        ...

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool = False) -> list[Tensor]:
        """Return the gradients of `loss` by `parameters`, zeros where it does not depend on one; accumulate nothing."""
        ...

    def rate(self, name: str) -> float:
        """Return the learning rate of parameter group `name` as it stands."""
        ...

    def draw(self, stream: str) -> Batch:
        """Return the next batch of another of the method's streams."""
        ...

    def examples(self, index: Tensor | None = None) -> Iterator[Batch]:
        """Return the training examples in batches as they are, not augmented; all, or those named by `index` [m], in order."""
        ...


class OwnOptimizer(NamedTuple):
    """An optimizer that is a method's, not the training configuration's: Adam at one rate throughout."""

    lr: float
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training. Recipes of several stages are lists of these; the loop knows nothing else of them."""

    name: str
    method: Method
    epochs: float = 1.0  # as a fraction of the training configuration's epochs
    passes: int | None = None  # instead, so many passes over the data; 0 trains nothing, and `enter` is all there is
    data: Callable[[Task], Tensor] | None = None  # rows of the task to train on, [m]; None takes all
    reinit: bool = True  # start from a new state; else go on from the stage before
    enter: Callable[[State, Task], State] | None = None  # makes this stage's state of the one before, where it goes on
    trainable: Callable[[State], Iterable[nn.Parameter]] | None = None  # None: all of the method's parameters.
    # What is frozen whole is in evaluation mode, and so are layers without parameters before what is trained.
    lr_scale: float = 1.0
    optimizer: Optimizer = "configured"
    after: Callable[[State, Task], Task] | None = None  # hands the next stage an enriched task
    until: Callable[[State], bool] | None = None  # asked after each epoch; the stage ends where it is true
    needed: Callable[[State], bool] | None = None  # asked of the state before; the stage is left out where it is false
    note: str = ""  # what whoever trained it should be told, in a sentence


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A training algorithm. Override what differs from plain training; most methods override `objective`."""

    card: ClassVar[Card]

    @property
    def needs(self) -> frozenset[str]:
        """What this method, with its settings, needs beyond the data."""
        return self.card.needs

    @property
    def supports(self) -> frozenset[str]:
        """The tasks that this method, with its settings, is for."""
        return self.card.supports

    @property
    def requirements(self) -> tuple[str, ...]:
        """What else this method, with its settings, takes, in words for whoever chooses one."""
        return self.card.requires

    @property
    def incompatible_with(self) -> Mapping[str, str]:
        """How this method, with its settings, can't be wrapped: PERTURBED or MIXED, and why, as a clause."""
        return self.card.incompatible_with

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of the recipe, under names of their own; by default one, this method itself."""
        return (Stage(name="train", method=self),)

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> State:
        """Return a fresh state; `make_net()` gives a newly initialized network."""
        return State(make_net())

    def streams(self, task: Task) -> Mapping[str, Sampler]:
        """Return the samplers of the streams of batches; "main" is the one that the loop runs over.

        REFERENCE is of the trusted examples, any other of the training set. Raises UserError where one can't be had.
        """
        return {"main": Shuffle()}

    def batch_shares(self) -> Mapping[str, float]:
        """Return the size of the batches of streams beside "main", over the training configuration's, in (0, 1]; 1 where nothing is said."""
        return {}

    def param_groups(self, state: State) -> Mapping[str, list[nn.Parameter]]:
        """Return the parameters of each optimizer, by the names that `engine.update` takes."""
        return {"main": list(state.parameters())}

    def optimizers(self) -> Mapping[str, OwnOptimizer]:
        """Return the optimizers of those parameter groups that the training configuration's is not for, by their names."""
        return {}

    def forward(self, state: State, batch: Batch) -> Out:
        """Run the network(s) on a batch."""
        return Out(outputs(state.net(batch.x)))

    def observe(self, state: State, batch: Batch, out: Out, clock: Clock) -> None:
        """Change the state, once a step, without gradients; everything else is pure."""
        return

    @abstractmethod
    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return what to minimize; changes nothing."""

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take one training step and return what to log."""
        out = self.forward(state, batch)
        with torch.no_grad():
            self.observe(state, batch, out, clock)
        objective = self.objective(state, batch, out, clock)
        engine.update("main", objective.total)
        return {"loss": objective.per_example, **accuracy(out.logits, batch.y), **objective.logs}

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """Called after the last step of each epoch; what it returns is logged beside the epoch's means."""
        return None

    def least_batch(self, task: Task) -> int:
        """Return the size of the smallest batch that the method takes; a last, smaller one joins the one before it."""
        return 2

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Return what whoever trained it should be told of how it went, in sentences that are the same for every seed.

        rows: the history of a stage, an epoch each.
        """
        return ()

    def group_strengths(self, task: Task) -> Tensor | None:
        """Return how strongly each group is treated, [G], for the report; None where a method has no such thing."""
        return None

    def enforced(self, state: State, task: Task) -> Tensor | None:
        """Return the same as it stands in `state`, where training changes it."""
        return self.group_strengths(task)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return logits [B, C], or standardized numbers [B], for x [B, ...]; the state is in evaluation mode."""
        return outputs(state.net(x))
