"""The base of methods that train two networks beside each other.

The objective is the sum of both networks' losses, and each parameter is in one of them: one optimizer over all of them
takes the same steps as two would. The first network predicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from skedastic.errors import UserError
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetwork, OneNetworkState
from skedastic.methods.bases.step import Batch, Out, Step, outputs
from skedastic.methods.bases.task import Task

ALIKE = (
    "and two that are alike stay alike; give a function that makes a newly initialized one each time, "
    "without seeding it"
)


class TwoNetworksState(OneNetworkState):
    """Two networks, `net` and `other`, and the constants of the classes in their loss.

    Parameters
    ----------
    net, other : nn.Module
        The networks.
    constants : ClassConstants
        The constants.
    """

    def __init__(self, net: nn.Module, other: nn.Module, constants: ClassConstants) -> None:
        super().__init__(net, constants)
        self.other = other


T = TypeVar("T", bound=TwoNetworksState, default=Any)


class Pair(NamedTuple):
    """The losses and outputs of both networks on a batch.

    Parameters
    ----------
    losses : tuple of Tensor
        Each [B], without the classes' weights.
    logits : tuple of Tensor
        Each [B, C], or [B] of numbers.
    """

    losses: tuple[Tensor, Tensor]
    logits: tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class TwoNetworks(OneNetwork[T]):
    """A method that trains two networks, initialized apart, on the same batches."""

    weighs: ClassVar[bool] = True

    def init(self, task: Task, make_net: MakeNet) -> T:
        """Return two fresh networks. Raises UserError where they are one, or begin alike."""
        return cast(T, TwoNetworksState(*self.two_networks(task, make_net), self.class_constants(task)))

    def two_networks(self, task: Task, make_net: MakeNet) -> tuple[nn.Module, nn.Module]:
        """Return two fresh networks with the head that was asked for.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.
        make_net : callable
            Gives a newly initialized network each time.

        Raises
        ------
        UserError
            The two are one, or begin alike.
        """
        return two_of(lambda: self.network(task, make_net), self.card.name)

    def forward(self, state: T, batch: Batch) -> Out:
        """Run both networks; `extra` is a `Pair`."""
        logits = outputs(state.net(batch.x)), outputs(state.other(batch.x))
        losses = self.losses(state, logits[0], batch.y), self.losses(state, logits[1], batch.y)
        return Out(logits[0], Pair(losses, logits))

    def both_weighted(self, step: Step[T]) -> tuple[Tensor, Tensor]:
        """Return both networks' losses, each [B], with the classes' weights in them.

        Parameters
        ----------
        step : Step
            The step after its forward. Its forward's `extra` is a `Pair`.
        """
        y, pair = step.batch.y, step.out.extra
        weight = self.class_weight(step.state, y, step.clock)
        first, other = (
            self.with_weight(losses, weight, logits, y) for losses, logits in zip(pair.losses, pair.logits, strict=True)
        )
        return first, other


def two_of(make_net: MakeNet, name: str) -> tuple[nn.Module, nn.Module]:
    """Return two fresh networks.

    Parameters
    ----------
    make_net : callable
        Gives a newly initialized network each time.
    name : str
        The method's name, for messages.

    Raises
    ------
    UserError
        `make_net` gives the same network twice, or two that begin alike.
    """
    net, other = make_net(), make_net()
    parameters = list(zip(net.parameters(), other.parameters(), strict=False))
    if net is other or any(p is q for p, q in parameters):
        rule = "it trains two networks, and model gives the same one twice; give a function that makes a new one"
        raise UserError(rule, setting="model", given=name)
    if parameters and all(p.shape == q.shape and torch.equal(p, q) for p, q in parameters):
        rule = f"it trains two networks, and the two that model gives begin with the same weights, {ALIKE}"
        raise UserError(rule, setting="model", given=name)
    return net, other
