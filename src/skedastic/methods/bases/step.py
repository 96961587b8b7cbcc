"""The parts of a training step: the batch, the state, the forward, the clock and the objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from skedastic.core.epochs import When, epoch_of

# Scalars and [B] tensors, detached and not changed later; the loop averages them over the epoch.
Logs = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of B examples.

    Parameters
    ----------
    x : Tensor
        The inputs, [B, ...].
    y : Tensor
        Integer labels [B], soft labels [B, C], or standardized targets of regression [B].
    index : Tensor
        The examples' stable names, [B], for state per example.
    group : Tensor
        The examples' groups, [B] in 0..G-1.
    classes : int
        C; 0 for regression.
    group_on_host : Tensor, optional
        The groups once more, on the CPU, for choices that an accelerator would have to be waited for.
    """

    x: Tensor
    y: Tensor
    index: Tensor
    group: Tensor
    classes: int = 0
    group_on_host: Tensor | None = None


class Clock(NamedTuple):
    """Where training stands.

    Parameters
    ----------
    epoch : int
        The epoch of this stage, in 0..epochs-1.
    epochs : int
        Epochs of this stage.
    step : int
        Steps taken in this stage.
    drop : int, optional
        The first epoch of the learning rate's first drop; None where it does not drop in steps.
    """

    epoch: int
    epochs: int
    step: int
    drop: int | None = None

    def begun(self, at: When) -> bool:
        """Return whether that which begins at `at` has begun.

        Parameters
        ----------
        at : float or "first-drop"
            As in `core.epochs.epoch_of`.
        """
        return self.epoch >= epoch_of(at, self.epochs, self.drop)


class Out(NamedTuple):
    """The result of a forward.

    Parameters
    ----------
    logits : Tensor
        [B, C]; for regression the predictions, [B].
    extra : Any
        Whatever else the method's objective needs of the forward.
    """

    logits: Tensor
    extra: Any = None


class Objective(NamedTuple):
    """The objective of a step.

    Parameters
    ----------
    total : Tensor
        The number that is minimized, a scalar.
    per_example : Tensor
        The unregularized, unweighted losses, [B], detached.
    logs : mapping of Tensor
        Values for the history, scalars or [B].
    """

    total: Tensor
    per_example: Tensor
    logs: Mapping[str, Tensor] = {}


class State(nn.Module):
    """The networks and everything else that a method changes while it trains.

    Parameters
    ----------
    net : nn.Module
        The network that predicts.

    Attributes
    ----------
    gathered : list of Tensor
        What the steps of an epoch gather for its end, on the CPU. A checkpoint within the epoch has it, a model has
        not.
    """

    net: nn.Module

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.gathered = list[Tensor]()

    def networks(self) -> Iterator[nn.Module]:
        """Yield the modules that are called, and so may be compiled: the networks and what else there is."""
        yield from self.children()

    def of_examples(self) -> Iterator[nn.Module]:
        """Yield those of them that are run on examples: of a batch spread over processes, each runs its rows."""
        yield from self.networks()


S = TypeVar("S", bound=State, default=Any)


@dataclass(frozen=True, slots=True, eq=False)
class Step(Generic[S]):
    """A training step after its forward.

    Parameters
    ----------
    state : State
        The networks as they are, and all else that the method changes.
    batch : Batch
        The examples of the step.
    out : Out
        The result of the forward.
    clock : Clock
        Where training stands.
    """

    state: S
    batch: Batch
    out: Out
    clock: Clock


def accuracy(logits: Tensor, y: Tensor) -> Logs:
    """Return who is classified as labelled, [B] bool, to log; nothing for regression.

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 or soft [B, C]; or numbers [B].
    """
    if y.dim() == 2:
        y = y.argmax(1)
    return {} if y.is_floating_point() else {"accuracy": logits.detach().argmax(1) == y}


def outputs(raw: Tensor) -> Tensor:
    """Return a network's output in the methods' form: logits [B, C] as they are, numbers [B, 1] as [B].

    Parameters
    ----------
    raw : Tensor
        The output, [B, C], [B, 1] or [B].
    """
    return raw.squeeze(1) if raw.dim() == 2 and raw.shape[1] == 1 else raw


@contextmanager
def evaluating(state: nn.Module) -> Iterator[None]:
    """Put a state in evaluation mode, without gradients; afterwards each module is in its mode of before.

    Parameters
    ----------
    state : nn.Module
        Any module.
    """
    modes = [(module, module.training) for module in state.modules()]
    state.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
