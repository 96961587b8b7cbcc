"""A linear model of columns as a module of torch: logits that are sums over numbers, and over ids of categories."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skedastic.core.resizable import Resizable


class Weights(NamedTuple):
    """The weights of r numbers and k ids, for C classes.

    Parameters
    ----------
    bias : Tensor
        [C].
    mean, scale : Tensor
        By which numbers are standardized, [r].
    weight : Tensor
        Of a standardized number, [r, C].
    table : Tensor
        Of the categories of all ids, one after the other, and after each id's a row for others, [R, C].
    start, size : Tensor
        The first row of each id in the table, and how many categories it has, [k] int64.
    """

    bias: Tensor
    mean: Tensor
    scale: Tensor
    weight: Tensor
    table: Tensor
    start: Tensor
    size: Tensor


class LinearModel(Resizable):
    """Rows [B, r + k] to logits [B, C].

    Parameters
    ----------
    bias : Tensor
        The logits of no weights, [C].
    """

    bias: Tensor
    mean: Tensor
    scale: Tensor
    weight: Tensor
    table: Tensor
    start: Tensor
    size: Tensor

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        no_ids = torch.zeros(0, dtype=torch.int64)
        numbers, rows = torch.zeros(0), torch.zeros(0, len(bias))
        for name, value in Weights(bias, numbers, numbers, rows, rows, no_ids, no_ids)._asdict().items():
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows to logits; a category that is not in the table counts as another one."""
        x, numbers = x.flatten(1).float(), len(self.mean)
        logits = self.bias + ((x[:, :numbers] - self.mean) / self.scale) @ self.weight
        if not len(self.start):
            return logits
        ids = x[:, numbers:].long()
        known = torch.where((ids >= 0) & (ids < self.size), ids, self.size)
        return logits + self.table[self.start + known].sum(1)
