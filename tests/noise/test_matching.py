"""Matched counts: a weight for each class, with which it is predicted as often as it is labelled."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from skedastic.noise.matching import class_weights, matched


def held_out(n=400, classes=5, seed=0, sharpness=2.0):
    generator = np.random.default_rng(seed)
    y = generator.choice(classes, n, p=np.arange(classes, 0, -1) / np.arange(classes + 1).sum())
    logits = sharpness * np.eye(classes)[y] + generator.normal(size=(n, classes)) - 0.4 * np.arange(classes)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return torch.from_numpy(p), torch.from_numpy(y)


def predicted(p, y):
    return (p.clamp_min(1e-12).log() + class_weights(p, y)).argmax(1)


@pytest.mark.parametrize("seed", range(4))
def test_each_class_is_predicted_as_often_as_it_is_labelled(seed) -> None:
    p, y = held_out(n=2000, seed=seed, sharpness=1.0)
    wanted = torch.bincount(y, minlength=5)
    before, after = (torch.bincount(classes, minlength=5) for classes in (p.argmax(1), predicted(p, y)))
    assert (before - wanted).abs().sum() > 200
    assert (after - wanted).abs().sum() < 30


def test_matching_is_the_best_assignment() -> None:
    p, y = held_out(n=120, sharpness=1.0)
    # the dual of: give each class as many examples as are labelled with it, with the largest sum of log p
    slots = y.sort().values
    rows, columns = linear_sum_assignment(-p.log()[:, slots].numpy())
    assigned = slots[torch.from_numpy(columns[rows.argsort()])]
    assert (predicted(p, y) == assigned).float().mean() > 0.93


def test_matching_undoes_the_odds_of_a_class_and_takes_probabilities_of_zero() -> None:
    p, y = held_out()
    odds = torch.tensor([1.0, 0.1, 5.0, 1.0, 0.3], dtype=torch.float64)
    tilted = p * odds / (p * odds).sum(1, keepdim=True)
    undone = class_weights(tilted, y) + odds.log() - class_weights(p, y)
    torch.testing.assert_close(undone - undone[0], torch.zeros(5, dtype=torch.float64), atol=1e-2, rtol=0)
    hard = torch.eye(5, dtype=torch.float64)[y]
    assert torch.equal(predicted(hard, y), y)
    only = torch.zeros_like(y)
    assert torch.equal(predicted(p, only), only)
    assert class_weights(p, only).isinf().tolist() == [False, True, True, True, True]


def test_a_row_without_a_model_has_no_class() -> None:
    p, y = held_out(n=60)
    fold = torch.arange(60) % 3 - 1
    found = matched(p, y, fold)
    assert (found[fold < 0] == -1).all()
    for k in (0, 1):
        assert torch.equal(found[fold == k].long(), predicted(p[fold == k], y[fold == k]))
