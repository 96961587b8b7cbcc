"""The likely true labels of many classes: against the formula written out with T, and against known noise."""

import numpy as np
import pytest
from scipy.stats import rankdata

from skedastic.core.transitions import BEND, RIDGE
from skedastic.noise.many_classes import (
    LEAST,
    LIKE_ALL,
    RIGHT,
    SUREST,
    WRONG,
    likely_classes,
    wrong_among_surest,
)
from skedastic.noise.true_labels import MOST_CLASSES, how_labels_go_wrong, true_labels


def world(classes, n, wrong, *, apart=1.5, seed=0):
    """Return probabilities of the given label by a good model, labels, true classes, folds and shares of wrong labels.

    A share of the labels of each true class, `wrong` in the mean and different of each, says any class.
    """
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(classes, 16)) * apart
    true = rng.integers(0, classes, n)
    x = rng.normal(size=(n, 16)) + means[true]
    scores = x @ means.T - (means**2).sum(1) / 2
    q = np.exp(scores - scores.max(1, keepdims=True))
    q /= q.sum(1, keepdims=True)
    share = rng.uniform(0, 2 * wrong, classes)
    y = np.where(rng.random(n) < share[true], rng.integers(0, classes, n), true)
    p = q * (1 - share) + (q @ share / classes)[:, None]
    return p, y, true, rng.integers(0, 2, n), share


@pytest.mark.parametrize("n", [50, 2055])
def test_the_posterior_is_bayes_rule_by_t_written_out(n) -> None:
    p, y, _, _, _ = world(12, n, 0.2, apart=0.8)
    found, w = likely_classes(p, y, np.zeros(n, dtype=np.int64)), wrong_among_surest(p.argmax(1), p.max(1), y, 12)
    rows = found.by.posterior(p, y, np.zeros(n))
    r = np.bincount(y, minlength=12) / n
    t = np.array([[(z == j) * (1 - w[z]) + w[z] * r[j] for j in range(12)] for z in range(12)])
    np.testing.assert_allclose(t.sum(1), 1)
    for i in (0, 1, n - 1):
        held = p[i].clip(LEAST)
        u = held @ np.linalg.inv(t + RIDGE * np.eye(12))
        q = (u + np.sqrt(u**2 + (BEND * held) ** 2)) / 2
        posterior = q * t[:, y[i]] / (q @ t[:, y[i]])
        np.testing.assert_allclose(rows[i], posterior, rtol=1e-9)
        assert found.wrong[i] == pytest.approx(1 - posterior[y[i]])
        assert found.uncertain[i] == pytest.approx(posterior @ (1 - np.diag(t)))


def test_the_share_of_wrong_labels_is_counted_among_the_surest() -> None:
    p, y, _, _, _ = world(12, 500, 0.2, apart=0.8)
    wrong, seen = np.zeros(12), np.zeros(12)
    for z in range(12):
        rows = sorted((i for i in range(500) if p[i].argmax() == z), key=lambda i: -p[i].max())
        for i in rows[: int(np.ceil(SUREST * len(rows)))]:
            seen[z] += 1
            wrong[z] += y[i] != z
    of_all = (wrong.sum() + WRONG) / (seen.sum() + WRONG + RIGHT)
    np.testing.assert_allclose(
        wrong_among_surest(p.argmax(1), p.max(1), y, 12), (wrong + LIKE_ALL * of_all) / (seen + LIKE_ALL)
    )


def test_where_classes_overlap_right_labels_are_called_wrong_by_the_share_that_is_documented() -> None:
    p, y, true, fold, _ = world(MOST_CLASSES + 20, 6000, 0.0, apart=0.7)
    assert (y == true).all()
    assert (p.argmax(1) != y).mean() > 0.25
    assert true_labels(p, y, fold).wrong.mean() < 0.1


@pytest.mark.parametrize("wrong", [0.0, 0.1, 0.3])
def test_wrong_labels_are_told_and_how_many(wrong) -> None:
    p, y, true, fold, _ = world(MOST_CLASSES + 20, 6000, wrong)
    found = true_labels(p, y, fold)
    assert found.wrong.mean() == pytest.approx((y != true).mean(), abs=0.08)
    assert found.wrong_apart.mean() == pytest.approx((y != true).mean(), abs=0.08)
    if wrong:
        rank, bad = rankdata(found.wrong), y != true
        area = (rank[bad].mean() - (bad.sum() + 1) / 2) / (~bad).sum()
        assert area > 0.98


def test_of_the_classes_the_noisier_are_told() -> None:
    p, y, true, fold, _ = world(MOST_CLASSES + 20, 12000, 0.2)
    count = np.bincount(y)
    found, truth = (np.bincount(y, of) / count for of in (true_labels(p, y, fold).wrong, y != true))
    assert np.corrcoef(found, truth)[0, 1] > 0.8
    assert np.abs(found - truth).mean() < 0.05


def test_t_is_of_a_hundred_classes_at_most() -> None:
    for classes, there in ((MOST_CLASSES, True), (MOST_CLASSES + 1, False)):
        p, y, _, fold, _ = world(classes, 1000, 0.1)
        found = true_labels(p, y, fold)
        gone_wrong = how_labels_go_wrong(p, y, fold, np.arange(1000), found)
        assert (found.transitions is not None, gone_wrong is not None) == (there, there)
        np.testing.assert_allclose(found.by.posterior(p, y, fold).sum(1), 1)
        assert ((found.wrong >= 0) & (found.wrong <= 1) & (found.uncertain >= 0) & (found.uncertain <= 1)).all()


@pytest.mark.parametrize("classes", [300, 3000])
def test_thousands_of_classes_and_classes_without_labels(classes) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes // 2, 500)
    p = rng.dirichlet(np.full(classes, 0.02), 500)
    fold = np.zeros(500, dtype=np.int64)
    assert np.isfinite(true_labels(p, y, fold).by.posterior(p, y, fold)).all()
