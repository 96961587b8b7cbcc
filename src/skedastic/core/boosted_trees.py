"""Boosted trees as a module of torch, so that they are saved, loaded, exported and run as networks are.

A tree is a table of nodes. Every example walks down all trees at once, a level at a time; a leaf leads to itself.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from skedastic.core.resizable import Resizable

CHUNK = 128  # rows that walk at once, so that their nodes stay in the cache


class Nodes(NamedTuple):
    """T trees of at most N nodes each; node 0 is the root.

    Parameters
    ----------
    feature : Tensor
        The entry of a row that is asked for, [T, N] int64.
    threshold : Tensor
        At most this leads to the left, anything else to the right, [T, N] float32.
    below : Tensor
        The next node to the right and to the left, [T, N, 2] int64; of a leaf itself.
    value : Tensor
        What a leaf adds, [T, N] float32.
    output : Tensor
        The output that a tree adds to, [T] int64 in 0..C-1.
    levels : Tensor
        As long as the longest way from a root to a leaf, [depth], of no value.
    """

    feature: Tensor
    threshold: Tensor
    below: Tensor
    value: Tensor
    output: Tensor
    levels: Tensor


class BoostedTrees(Resizable):
    """Rows [B, ...] to logits [B, C]: base_c + Σ_t value_t(x), over the trees t of class c.

    Parameters
    ----------
    base : Tensor
        The logits of no tree, [C].
    nodes : Nodes, optional
        The trees; by default none.
    """

    base: Tensor
    feature: Tensor
    threshold: Tensor
    below: Tensor
    value: Tensor
    output: Tensor
    levels: Tensor

    def __init__(self, base: Tensor, nodes: Nodes | None = None) -> None:
        super().__init__()
        self.register_buffer("base", base.float())
        for name, values in (nodes or _none())._asdict().items():
            self.register_buffer(name, values)

    @property
    def nodes(self) -> Nodes:
        """The trees."""
        return Nodes(*(getattr(self, name) for name in Nodes._fields))

    def set(self, base: Tensor, nodes: Nodes) -> None:
        """Take other trees.

        Parameters
        ----------
        base, nodes
            As above.
        """
        self.take({"base": base.float(), **nodes._asdict()})

    def forward(self, x: Tensor) -> Tensor:
        """Map rows [B, ...] to logits [B, C]."""
        if not torch.compiler.is_compiling() and x.shape[0] > CHUNK:
            return torch.cat([self(part) for part in torch.split(x, CHUNK)])
        x, (trees, size) = x.flatten(1).float(), self.feature.shape
        root = size * torch.arange(trees, device=x.device)  # of each tree among the nodes of all
        feature, threshold = self.feature.flatten(), self.threshold.flatten()
        below = (root[:, None, None] + self.below).flatten()
        at = root.expand(x.shape[0], trees)  # len(x) would fix the size of an exported batch
        for _ in range(len(self.levels)):
            goes_left = x.gather(1, feature[at]) <= threshold[at]
            at = below[2 * at + goes_left]
        of_output = functional.one_hot(self.output, len(self.base)).float()  # [T, C]
        return self.base + self.value.flatten()[at] @ of_output


def _none() -> Nodes:
    """Return no trees."""
    empty, below = torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, 1, 2, dtype=torch.int64)
    return Nodes(empty, empty.float(), below, empty.float(), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
