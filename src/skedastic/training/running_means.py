"""The means over an epoch of the values that its steps log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skedastic.methods.bases.step import Logs

SUMMED_AT_ONCE = 64  # steps


class RunningMeans:
    """The means of the values that the steps of an epoch log; summed a few steps at a time, which is faster."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._sums: defaultdict[str, Tensor | float] = defaultdict(float)
        self._counts: defaultdict[str, Tensor | float] = defaultdict(int)

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

    def kept(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what it holds, as tensors by name and the rest in JSON's types, for `restore`."""
        tensors = {f"sum.{name}": torch.as_tensor(total) for name, total in self._sums.items()}
        tensors |= {
            f"waiting.{name}.{i}": value for name, kept in self._waiting.items() for i, value in enumerate(kept)
        }
        facts = {
            "sums": list(self._sums),
            "waiting": {name: len(kept) for name, kept in self._waiting.items()},
            "counts": {name: n if isinstance(n, int) else float(n) for name, n in self._counts.items()},
            "on_cpu": [name for name, tensor in tensors.items() if tensor.device.type == "cpu"],
        }
        return tensors, facts

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], device: torch.device) -> None:
        """Take over what `kept` gave, in the same order; tensors that were on a device come to `device`."""
        at = {name: t if name in facts["on_cpu"] else t.to(device) for name, t in tensors.items()}
        self._sums.update((name, at[f"sum.{name}"]) for name in facts["sums"])
        for name, count in facts["waiting"].items():
            self._waiting[name] = [at[f"waiting.{name}.{i}"] for i in range(count)]
        self._counts.update(facts["counts"])

    def _sum(self, name: str) -> None:
        if waiting := self._waiting[name]:
            values = torch.cat(waiting)
            self._sums[name] += values.sum()
            self._counts[name] += len(values)
            waiting.clear()
