"""The estimate in blocks of rows and columns, against all cells at once; and the memory that it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skedastic.noise import blocks as module
from skedastic.noise.blocks import blocks
from skedastic.noise.confident_joint import confident_joint
from skedastic.noise.held_out import Judged
from skedastic.noise.learned import _groups, _ranked, together
from skedastic.noise.many_classes import wrong_among_surest
from skedastic.noise.matching import matched
from skedastic.noise.true_labels import MOST_CLASSES, largest_shares, true_labels
from tests.reference import whole_probabilities as literal

N, FOLDS = 400, 3


@pytest.fixture(params=[1, 90, 2**18], ids=["row by row", "some", "whole"])
def cells(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "CELLS", request.param)
    return int(request.param)


def world(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities [n, C] float32, labels, folds and groups; the last class has no label."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes - 1, N)
    z = rng.normal(size=(N, classes)) + 4 * np.eye(classes)[true]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = np.where(rng.random(N) < 0.2, rng.integers(0, classes - 1, N), true)
    return p.astype(np.float32), y, rng.integers(0, FOLDS, N), rng.integers(0, 7, N)


@pytest.mark.parametrize(("n", "width"), [(0, 3), (10, 3), (10, 1000), (7, 90), (5, 0)])
def test_blocks_hold_every_row_once_in_order(n: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELLS", 90)
    found = [np.arange(n)[rows] for rows in blocks(n, width)]
    assert np.concatenate([[], *found]).tolist() == list(range(n))
    assert all(len(rows) == 1 or len(rows) * width <= 90 for rows in found)


@pytest.mark.parametrize("classes", [3, 40])
def test_counts_are_matched_as_with_all_cells(cells: int, classes: int) -> None:
    p, y, fold, _ = world(classes)
    found = matched(torch.from_numpy(p), torch.from_numpy(y), torch.from_numpy(fold))
    for k in range(FOLDS):
        expected = literal.matched_classes(torch.from_numpy(p[fold == k]), torch.from_numpy(y[fold == k]))
        assert (found[fold == k] == expected).float().mean() > 0.98, "the optimizer ends nearby"


def test_the_confident_joint_is_that_of_all_cells(cells: int) -> None:
    p, y, fold, _ = world(12)
    assert np.array_equal(confident_joint(p, y, fold), literal.confident_joint(p, y, fold))


@pytest.mark.parametrize("classes", [5, MOST_CLASSES + 1])
def test_the_posterior_is_kept_as_what_is_asked_of_it(cells: int, classes: int) -> None:
    p, y, fold, group = world(classes)
    truth = true_labels(p, y, fold)
    posterior = truth.by.posterior(p, y, fold)
    if classes > MOST_CLASSES:
        w = wrong_among_surest(p.argmax(1), p.max(1), y, classes)
        np.testing.assert_allclose(posterior, literal.posterior_of_many(p, y, w), rtol=1e-10)
        np.testing.assert_allclose(truth.wrong, 1 - posterior[np.arange(N), y], atol=1e-12)
    np.testing.assert_allclose(truth.right, posterior[np.arange(N), y], rtol=1e-12)
    shares = largest_shares(truth.by, p, y, fold, group, 8)
    np.testing.assert_allclose(shares, literal.largest_shares(posterior, y, group, 8), rtol=1e-12)
    posterior[np.arange(N), y] = -1
    assert np.array_equal(truth.suggested, posterior.argmax(1))
    some = truth.of(group == 1)
    assert np.array_equal(some.right, truth.right[group == 1])


@pytest.mark.parametrize("of_class", [True, False], ids=["classes", "groups"])
def test_what_was_learned_is_told_as_by_all_ranks(cells: int, of_class: bool) -> None:
    p, y, fold, group = world(6)
    group = y if of_class else np.where(group == 0, y, group)  # some groups are of one label
    judged, own = Judged(y, fold, group, 8, None), []
    ranked = [_ranked(p, rows, judged) for rows in judged.in_fold]
    for rows, found in zip(judged.in_fold, ranked, strict=True):
        parts, variance = literal.together(literal.ranks(p[rows]), y[rows])
        np.testing.assert_allclose(found.whole.parts, parts, atol=1e-12)
        assert found.whole.variance == pytest.approx(variance)
    for g in range(8):
        sums, variance = 0.0, 0.0
        for rows in judged.in_fold:
            scores, members = literal.ranks(p[rows]), group[rows] == g
            if len(set(y[group == g])) > 1:
                parts, more = literal.together(scores[members], y[rows][members])
            else:
                parts, more = literal.among(scores[:, y[group == g][0] if (group == g).any() else 0], members)
            sums, variance = sums + parts.sum(), variance + more
        own.append(variance > 0 and sums > 1.959964 * variance**0.5)
    assert own == _groups(ranked, judged, judged.in_fold).tolist()
    assert 0 < sum(own) < 8


def test_evidence_may_come_in_columns() -> None:
    p, y, _, _ = world(6)
    found, expected = together(literal.ranks(p), y), literal.together(literal.ranks(p), y)
    np.testing.assert_allclose(found.parts, expected[0], atol=1e-12)
    assert found.variance == pytest.approx(expected[1])
