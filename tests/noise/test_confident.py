"""Confident counting, against the definition written out and against cleanlab."""

import numpy as np
import pytest
import torch
from cleanlab.count import (  # type: ignore[import-untyped]  # it has no stubs
    compute_confident_joint,
    estimate_joint,
    num_label_issues,
)
from scipy.optimize import linear_sum_assignment

from skedastic.noise.confident import confident_class, joint_and_issues, match_counts


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
    counted = []
    for i in range(n):
        confident = [c for c in range(classes) if not np.isnan(p[i]).any() and p[i, c] >= threshold[c]]
        counted.append(max(confident, key=lambda c: p[i, c]) if confident else -1)
    return counted


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("missing", [0, 100])
def test_it_is_the_definition(seed, missing) -> None:
    p, y = held_out(seed=seed)
    p[:missing] = torch.nan
    counted = confident_class(p, y)
    assert counted.dtype == torch.int64
    assert counted.tolist() == written_out(p.numpy(), y.numpy())
    assert (counted[:missing] == -1).all()
    assert 0 < (counted == -1).sum() < len(y), "some examples are confidently of no class"


@pytest.mark.parametrize("seed", range(4))
def test_its_counts_are_cleanlabs(seed) -> None:
    p, y = held_out(seed=seed, sharpness=3.0)
    counted = confident_class(p, y)
    joint = torch.zeros(5, 5, dtype=torch.int64)
    joint.index_put_((y[counted >= 0], counted[counted >= 0]), torch.tensor(1), accumulate=True)
    theirs = compute_confident_joint(y.numpy(), p.numpy(), calibrate=False)
    # An example may be confident of several classes. Theirs gives it to its most probable one, confident or not (the
    # paper: to the most probable of those), and no diagonal less than 1.
    assert np.abs(joint.numpy() - theirs).sum() <= 0.01 * len(y)


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


def test_a_class_that_is_seldom_predicted_is_not_called_noisy_for_it() -> None:
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


def test_a_class_without_a_held_out_example_is_never_confident() -> None:
    p, y = held_out()
    p[y == 4] = torch.nan
    assert 4 not in confident_class(p, y).tolist()
    assert (confident_class(torch.full((3, 2), torch.nan), torch.tensor([0, 1, 1])) == -1).all()


def awkward(kind, classes, seed):
    """Return held-out probabilities [120, C] and labels [120] of which something is odd."""
    p, y = (t.numpy() for t in held_out(120, classes, seed, sharpness=1.5))
    rows = {
        "plain": p,
        "even": np.full_like(p, 1 / classes),
        "sure": np.eye(classes)[y],
        "sure of others": np.eye(classes)[(y + 1) % classes],
        "one class only": np.eye(classes)[np.zeros_like(y)],
        "rounded": p.round(1),
        "half precision": p.astype(np.float16).astype(np.float64),
        "a class is missing": p,
    }[kind]
    return rows, np.where(y == 1, 0, y) if kind == "a class is missing" and classes > 2 else y


KINDS = ["plain", "even", "sure", "sure of others", "one class only", "rounded", "half precision", "a class is missing"]


@pytest.mark.parametrize("classes", [2, 3, 7, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_joint_and_issues_are_cleanlabs_to_the_bit(kind, classes) -> None:
    for seed in range(5):
        p, y = awkward(kind, classes, seed)
        joint, issues = joint_and_issues(p, y)
        np.testing.assert_array_equal(joint, estimate_joint(y, p).T)
        assert issues == num_label_issues(y, p)


def test_the_joint_written_out() -> None:
    """Equations 1 to 3 on numbers that need no rounding: thresholds 0.7, 0.6 and 0.9."""
    rows = [
        (0, (0.8, 0.1, 0.1)), (0, (0.9, 0.1, 0.0)), (0, (0.4, 0.6, 0.0)),  # the third is counted as class 1
        (1, (0.1, 0.7, 0.2)), (1, (0.3, 0.5, 0.2)),  # the second reaches no threshold, and is not counted
        (2, (0.0, 0.1, 0.9)),
    ]  # fmt: skip
    y, p = np.array([label for label, _ in rows]), np.array([row for _, row in rows])
    joint, issues = joint_and_issues(p, y)
    np.testing.assert_allclose(6 * joint, [[2, 0, 0], [1, 2, 0], [0, 0, 1]])  # [true, given]
    assert issues == 1


def test_rounding_keeps_the_number_of_examples_of_each_label() -> None:
    for seed in range(20):
        p, y = (t.numpy() for t in held_out(97, 6, seed, sharpness=0.7))
        joint, _ = joint_and_issues(p, y)
        np.testing.assert_allclose(97 * joint.sum(0), np.bincount(y, minlength=6))
        np.testing.assert_allclose(97 * joint, (97 * joint).round(), atol=1e-9)
