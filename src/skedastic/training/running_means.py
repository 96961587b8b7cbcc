"""The means over an epoch of the values that its steps log."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from skedastic.methods.bases.step import Logs

SUMMED_AT_ONCE = 64  # steps


class RunningMeans:
    """The means of the values that the steps of an epoch log; summed a few steps at a time, which is faster."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._sums: defaultdict[str, Tensor | float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, metrics: Logs) -> None:
        """Take the values of a step.

        Parameters
        ----------
        metrics : mapping of Tensor
            Scalars or [B], by name; they must not change afterwards.
        """
        for name, value in metrics.items():
            if value.dim() == 0:
                self._sums[name] += value
                self._counts[name] += 1
                continue
            waiting = self._waiting[name]
            waiting.append(value)
            if len(waiting) == SUMMED_AT_ONCE:
                self._sum(name)

    def means(self) -> dict[str, float]:
        """Return the mean of each name that has values."""
        for name in self._waiting:
            self._sum(name)
        return {name: float(total) / self._counts[name] for name, total in self._sums.items() if self._counts[name]}

    def _sum(self, name: str) -> None:
        if waiting := self._waiting[name]:
            values = torch.cat(waiting)
            self._sums[name] += values.sum()
            self._counts[name] += len(values)
            waiting.clear()
