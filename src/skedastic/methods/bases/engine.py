"""The engine's side of a method: the only thing that steps an optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from skedastic.methods.bases.step import Batch


class Engine(Protocol):
    """The only thing that steps an optimizer. `training.engine.PlainEngine` is bare torch."""

    device: torch.device

    def update(self, name: str, loss: Tensor) -> None:
        """Backward a loss and step the optimizer of a parameter group: `backward`, and then `step`.

        Parameters
        ----------
        name : str
            The parameter group.
        loss : Tensor
            A scalar.
        """
        ...

    def backward(self, loss: Tensor, parameters: Sequence[Tensor] | None = None) -> None:
        """Accumulate the gradients of a loss.

        Parameters
        ----------
        loss : Tensor
            A scalar.
        parameters : sequence of Tensor, optional
            The parameters whose gradients are wanted; by default all that the loss depends on.
        """
        ...

    def step(self, name: str) -> None:
        """Step the optimizer of a parameter group by the gradients accumulated, and clear them.

        Parameters
        ----------
        name : str
            The parameter group.
        """
        ...

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool = False) -> list[Tensor]:
        """Return the gradients of a loss by some parameters, zeros where it does not depend on one; accumulate nothing.

        Parameters
        ----------
        loss : Tensor
            A scalar.
        parameters : sequence of Tensor
            The parameters.
        retain_graph : bool
            Whether the graph of the loss stays alive.
        """
        ...

    def rate(self, name: str) -> float:
        """Return the learning rate of a parameter group as it stands.

        Parameters
        ----------
        name : str
            The parameter group.
        """
        ...

    def draw(self, stream: str) -> Batch:
        """Return the next batch of another of the method's streams.

        Parameters
        ----------
        stream : str
            A name that `Method.streams` gives, other than "main".
        """
        ...

    def examples(self, index: Tensor | None = None) -> Iterator[Batch]:
        """Return the training examples in batches, not augmented.

        Parameters
        ----------
        index : Tensor, optional
            The names of the examples to return, [m], in order; by default all.
        """
        ...


class OwnOptimizer(NamedTuple):
    """An optimizer that is a method's, not the training configuration's: Adam at one rate throughout.

    Parameters
    ----------
    lr : float
        The learning rate, above 0.
    weight_decay : float
        At least 0.
    """

    lr: float
    weight_decay: float = 0.0
