"""The engine of several processes: each has the gradients of its rows, and all step by their sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from skedastic.core.spread import Spread
from skedastic.training.engine import PlainEngine
from skedastic.training.ranks import joined


def make_engine(*args: Any, **kwargs: Any) -> PlainEngine:
    """Return the engine of this process, which may be one of several; parameters as of `PlainEngine`."""
    spread = joined()
    return PlainEngine(*args, **kwargs) if spread is None else DistributedEngine(spread, *args, **kwargs)


class DistributedEngine(PlainEngine):
    """One of several processes, which share every batch. Gradients cross once, before a step, in one message.

    Parameters
    ----------
    spread : Spread
        The processes.
    *args, **kwargs
        As of `PlainEngine`.
    """

    def __init__(self, spread: Spread, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spread = spread

    def backward(self, loss: Tensor, parameters: Sequence[Tensor] | None = None) -> None:
        """Accumulate the gradients of `loss`, as far as this process's rows go."""
        with self.spread.counted():
            super().backward(loss / self.spread.ranks, parameters)

    def _step_now(self, name: str) -> None:
        self.spread.add_all([p.grad for p in self._parameters(name) if p.grad is not None])
        super()._step_now(name)

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool = False) -> list[Tensor]:
        """Return the gradients of `loss` by `parameters`; accumulate nothing."""
        with self.spread.counted():
            gradients = super().gradients(loss / self.spread.ranks, parameters, retain_graph=retain_graph)
        self.spread.add_all(gradients)
        return gradients
