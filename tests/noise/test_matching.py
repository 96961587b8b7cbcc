"""Matched counts: a weight for each class, with which it is predicted as often as it is labelled."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from skedastic.noise.matching import match_counts


def held_out(n=400, classes=5, seed=0, sharpness=2.0):
    generator = np.random.default_rng(seed)
    y = generator.choice(classes, n, p=np.arange(classes, 0, -1) / np.arange(classes + 1).sum())
    logits = sharpness * np.eye(classes)[y] + generator.normal(size=(n, classes)) - 0.4 * np.arange(classes)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return torch.from_numpy(p), torch.from_numpy(y)


@pytest.mark.parametrize("seed", range(4))
def test_each_class_is_predicted_as_often_as_it_is_labelled(seed) -> None:
    p, y = held_out(n=2000, seed=seed, sharpness=1.0)
    wanted = torch.bincount(y, minlength=5)
    before, after = (torch.bincount(q.argmax(1), minlength=5) for q in (p, match_counts(p, y)))
    assert (before - wanted).abs().sum() > 200
    assert (after - wanted).abs().sum() < 30
    torch.testing.assert_close(match_counts(p, y).sum(1), torch.ones(2000, dtype=torch.float64))


def test_matching_is_a_weight_for_each_class_and_the_best_assignment() -> None:
    p, y = held_out(n=120, sharpness=1.0)
    weight = (match_counts(p, y).log() - p.log()).diff(dim=1)
    torch.testing.assert_close(weight, weight[:1].expand_as(weight))
    # the dual of: give each class as many examples as are labelled with it, with the largest sum of log p
    slots = y.sort().values
    rows, columns = linear_sum_assignment(-p.log()[:, slots].numpy())
    assigned = slots[torch.from_numpy(columns[rows.argsort()])]
    assert (match_counts(p, y).argmax(1) == assigned).float().mean() > 0.93


def test_matching_undoes_the_odds_of_a_class_and_takes_probabilities_of_zero() -> None:
    p, y = held_out()
    tilted = p * torch.tensor([1.0, 0.1, 5.0, 1.0, 0.3], dtype=torch.float64)
    tilted /= tilted.sum(1, keepdim=True)
    torch.testing.assert_close(match_counts(tilted, y), match_counts(p, y), atol=1e-3, rtol=0)
    hard = torch.eye(5, dtype=torch.float64)[y]
    assert torch.equal(match_counts(hard, y).argmax(1), y)
    only = match_counts(p, torch.zeros_like(y))
    assert torch.equal(only.argmax(1), torch.zeros_like(y))
    assert torch.isfinite(only).all()
