"""A linear model as a module: a literal sum, categories that are not in the table, and any size from a state."""

from __future__ import annotations

import torch

from skedastic.core.linear_model import LinearModel, Weights

WEIGHTS = Weights(
    bias=torch.tensor([0.5, -0.5, 0.0]),
    mean=torch.tensor([1.0, 2.0]),
    scale=torch.tensor([2.0, 4.0]),
    weight=torch.tensor([[1.0, 0, 0], [0, 3.0, 0]]),
    table=torch.tensor([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 0], [0, 0, 5.0], [0, 0, 0]]),
    start=torch.tensor([0, 3]),
    size=torch.tensor([2, 1]),
)
X = torch.tensor([[3.0, 6.0, 0, 0], [1.0, 2.0, 1, 0], [1.0, 2.0, 7, 3], [1.0, 2.0, -1, 1]])
LOGITS = torch.tensor([[2.5, 2.5, 5.0], [2.5, -0.5, 5.0], [0.5, -0.5, 0.0], [0.5, -0.5, 0.0]])


def model():
    found = LinearModel(torch.zeros(3))
    found.take(WEIGHTS._asdict())
    return found


def test_logits_are_sums_over_numbers_and_categories_and_other_categories_add_nothing() -> None:
    assert torch.equal(model()(X), LOGITS)


def test_without_weights_the_bias_is_the_logits() -> None:
    assert torch.equal(LinearModel(torch.tensor([1.0, 2.0]))(torch.rand(4, 3)), torch.tensor([[1.0, 2.0]] * 4))


def test_a_state_of_another_size_is_loaded() -> None:
    loaded = LinearModel(torch.zeros(3))
    loaded.load_state_dict(model().state_dict())
    assert torch.equal(loaded(X), LOGITS)
