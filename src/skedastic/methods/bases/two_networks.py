"""What methods that train two networks beside each other have in common.

The objective is the sum of both networks' losses, and each parameter is in one of them: one optimizer over all of them takes
the same steps as two would. The first network predicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from skedastic.errors import UserError
from skedastic.methods.bases.method import Batch, Clock, Out, State, Task, outputs
from skedastic.methods.bases.one_network import OneNetwork, OneNetworkState

ALIKE = "and two that are alike stay alike; give a function that makes a newly initialized one each time, without seeding it"


class TwoNetworksState(OneNetworkState):
    """Two networks, `net` and `other`, and what the loss knows of the classes."""

    def __init__(self, net: nn.Module, other: nn.Module, known: tuple[Tensor | None, Tensor | None]) -> None:
        super().__init__(net, *known)
        self.other = other


class Pair(NamedTuple):
    """What both networks make of a batch."""

    losses: tuple[Tensor, Tensor]  # each [B], without the classes' weights
    logits: tuple[Tensor, Tensor]  # each [B, C], or [B] of numbers


@dataclass(frozen=True, kw_only=True)
class TwoNetworks(OneNetwork):
    """A method that trains two networks, initialized apart, on the same batches."""

    weighs: ClassVar[bool] = True

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> TwoNetworksState:
        """Return two fresh networks. Raises UserError where they are one, or begin alike."""
        return TwoNetworksState(*two_of(lambda: self.network(task, make_net), self.card.name), self.known(task))

    def forward(self, state: State, batch: Batch) -> Out:
        """Run both networks; `extra` is a `Pair`."""
        assert isinstance(state, TwoNetworksState)
        found = outputs(state.net(batch.x)), outputs(state.other(batch.x))
        losses = self.losses(state, found[0], batch.y), self.losses(state, found[1], batch.y)
        return Out(found[0], Pair(losses, found))

    def both_weighted(self, state: State, batch: Batch, pair: Pair, clock: Clock) -> tuple[Tensor, Tensor]:
        """Return both networks' losses, each [B], with the classes' weights in them."""
        weight = self.class_weight(state, batch.y, clock)
        first, other = (
            self.with_weight(losses, weight, logits, batch.y)
            for losses, logits in zip(pair.losses, pair.logits, strict=True)
        )
        return first, other


def two_of(make_net: Callable[[], nn.Module], name: str) -> tuple[nn.Module, nn.Module]:
    """Return two networks of their own. Raises UserError, naming method `name`, where `make_net` gives one, or two alike."""
    net, other = make_net(), make_net()
    parameters = list(zip(net.parameters(), other.parameters(), strict=False))
    if net is other or any(p is q for p, q in parameters):
        raise UserError(
            f"{name} trains two networks, and model gives the same one twice; give a function that makes a new one"
        )
    if parameters and all(p.shape == q.shape and torch.equal(p, q) for p, q in parameters):
        raise UserError(
            f"{name} trains two networks, and the two that model gives begin with the same weights, {ALIKE}"
        )
    return net, other
