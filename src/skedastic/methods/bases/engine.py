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
        """Return the training examples in batches, not augmented; all, or those named by `index` [m], in order."""
        ...


class OwnOptimizer(NamedTuple):
    """An optimizer that is a method's, not the training configuration's: Adam at one rate throughout."""

    lr: float
    weight_decay: float = 0.0
