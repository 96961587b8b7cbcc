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
        self._counts: defaultdict[str, Tensor | int] = defaultdict(int)

    def add(self, metrics: Logs, left_out: Tensor | None = None) -> None:
        """Take the values of a step.

        Parameters
        ----------
        metrics : mapping of Tensor
            Scalars or [B], by name; they must not change afterwards.
        left_out : Tensor, optional
            1 where the step was left out, so that its values do not count, else 0, a scalar.
        """
        for name, value in metrics.items():
            if left_out is not None:
                self._sums[name] += torch.where(left_out > 0, 0, value).sum()
                self._counts[name] += (1 - left_out) * value.numel()
                continue
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
        counts = {name: float(count) for name, count in self._counts.items() if count}
        return {name: float(self._sums[name]) / count for name, count in counts.items()}

    def _sum(self, name: str) -> None:
        if waiting := self._waiting[name]:
            values = torch.cat(waiting)
            self._sums[name] += values.sum()
            self._counts[name] += len(values)
            waiting.clear()
