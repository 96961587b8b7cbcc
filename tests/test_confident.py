"""Confident counting, against the definition written out and against cleanlab."""

import numpy as np
import pytest
import torch
from cleanlab.count import compute_confident_joint

from skedastic.confident import confident_class


def held_out(n=400, classes=5, seed=0, sharpness=2.0):
    generator = np.random.default_rng(seed)
    y = generator.choice(classes, n, p=np.arange(classes, 0, -1) / np.arange(classes + 1).sum())
    logits = sharpness * np.eye(classes)[y] + generator.normal(size=(n, classes)) - 0.4 * np.arange(classes)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return torch.from_numpy(p), torch.from_numpy(y)


def written_out(p, y):
    """Equations 1 and 2, one example at a time."""
    n, classes = p.shape
    threshold = []
    for c in range(classes):
        own = [p[i, c] for i in range(n) if y[i] == c and not np.isnan(p[i]).any()]
        threshold.append(sum(own) / len(own) if own else np.inf)
    found = []
    for i in range(n):
        confident = [c for c in range(classes) if not np.isnan(p[i]).any() and p[i, c] >= threshold[c]]
        found.append(max(confident, key=lambda c: p[i, c]) if confident else -1)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("missing", [0, 100])
def test_it_is_the_definition(seed, missing):
    p, y = held_out(seed=seed)
    p[:missing] = torch.nan
    found = confident_class(p, y)
    assert found.dtype == torch.int64
    assert found.tolist() == written_out(p.numpy(), y.numpy())
    assert (found[:missing] == -1).all()
    assert 0 < (found == -1).sum() < len(y), "some examples are confidently of no class"


@pytest.mark.parametrize("seed", range(4))
def test_its_counts_are_cleanlabs(seed):
    p, y = held_out(seed=seed, sharpness=3.0)
    found = confident_class(p, y)
    joint = torch.zeros(5, 5, dtype=torch.int64)
    joint.index_put_((y[found >= 0], found[found >= 0]), torch.tensor(1), accumulate=True)
    theirs = compute_confident_joint(y.numpy(), p.numpy(), calibrate=False)
    # Theirs gives an example that is confident of several classes to its most probable one, confident or not (the paper:
    # to the most probable of those), and no diagonal less than 1.
    assert np.abs(joint.numpy() - theirs).sum() <= 0.01 * len(y)


def test_a_class_that_is_seldom_predicted_is_not_called_noisy_for_it():
    """Halving the odds of a class moves every raw prediction, and no confident one."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(600) % 2
    p1 = torch.where(y == 1, 0.6, 0.1) + 0.2 * torch.rand(600, generator=generator, dtype=torch.float64)
    timid = 0.55 * p1  # class 1 is never more probable than class 0
    raw, confident = (torch.stack([1 - p, p], 1) for p in (p1, timid))
    assert (confident.argmax(1) == 0).all()
    assert ((confident_class(confident, y) == 1) & (y == 0)).sum() == 0
    assert (confident_class(confident, y)[y == 1] == 1).float().mean() > 0.4
    assert torch.equal(confident_class(confident, y) == 1, confident_class(raw, y) == 1)


def test_a_class_without_a_held_out_example_is_never_confident():
    p, y = held_out()
    p[y == 4] = torch.nan
    assert 4 not in confident_class(p, y).tolist()
    assert (confident_class(torch.full((3, 2), torch.nan), torch.tensor([0, 1, 1])) == -1).all()
