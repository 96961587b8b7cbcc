"""Boosted trees as a module: a literal walk down each tree, and any number of trees from a state."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from skedastic.core.boosted_trees import BoostedTrees, Nodes

# x0 <= 0.5 ? (x1 <= -1 ? 1 : 2) : 4, of class 0; and a leaf of 8 for class 2
NODES = Nodes(
    feature=torch.tensor([[0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]),
    threshold=torch.tensor([[0.5, -1.0, 0, 0, 0], [0.0, 0, 0, 0, 0]]),
    below=torch.tensor([[[2, 1], [4, 3], [2, 2], [3, 3], [4, 4]], [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]]),
    value=torch.tensor([[0.0, 0, 4, 1, 2], [8.0, 0, 0, 0, 0]]),
    output=torch.tensor([0, 2]),
    levels=torch.zeros(2),
)
BASE = torch.tensor([0.25, 0.5, 1.0])


def literal(x: Tensor) -> Tensor:
    """Return the logits of the trees above, row by row."""
    out = BASE.repeat(len(x), 1)
    for i, (first, second) in enumerate(x.tolist()):
        out[i, 0] += (1 if second <= -1 else 2) if first <= 0.5 else 4
        out[i, 2] += 8
    return out


def test_every_row_walks_down_every_tree() -> None:
    x = torch.tensor([[0.5, -1.0], [0.5, -0.99], [0.51, -5.0], [-3.0, -3.0]])
    assert torch.equal(BoostedTrees(BASE, NODES)(x), literal(x))


def test_without_trees_the_base_is_the_logits() -> None:
    assert torch.equal(BoostedTrees(BASE)(torch.rand(4, 2, 3)), BASE.repeat(4, 1))


def test_a_state_with_other_trees_is_loaded() -> None:
    x, loaded = torch.randn(20, 2), BoostedTrees(torch.zeros(3))
    loaded.load_state_dict(BoostedTrees(BASE, NODES).state_dict())
    assert torch.equal(loaded(x), literal(x))
    with pytest.raises(RuntimeError, match="Missing key"):
        loaded.load_state_dict({})
