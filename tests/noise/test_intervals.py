"""Shown intervals of wrong labels hold the truth where a model's own errors look like wrong labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from skedastic.noise.estimate import Estimate, given_estimate
from skedastic.noise.wrong_labels import LIKE_ANOTHER, OVERCONFIDENT
from skedastic.settings.config import Estimation
from tests.noise.test_estimate import dataset

YEAST = (0.31, 0.29, 0.16, 0.11, 0.04, 0.03, 0.03, 0.03)  # of the rows, about


def estimated(x, y, model, classes) -> Estimate:
    """Return the estimate by the model's predictions of two halves."""
    p = cross_val_predict(model, x, y, cv=StratifiedKFold(2), method="predict_proba")
    label = torch.from_numpy(y)
    data = replace(dataset(len(y), classes), x=torch.tensor(x, dtype=torch.float32), y=label, group=label)
    return given_estimate(data, torch.tensor(p, dtype=torch.float32), Estimation())


def gaussians(sizes, apart, dims, seed):
    """Return features and true classes of Gaussians of so many rows each, in a random order."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return rng.normal(size=(len(y), dims)) + apart * rng.normal(size=(len(sizes), dims))[y], y


def misses(estimate, wrong) -> tuple[int, int]:
    """Return how many intervals are shown, and how many of these do not hold the share of wrong labels [n]."""
    group, figures = estimate.dataset.group.numpy(), estimate.findings.wrong
    shown = [(figure, wrong[group == g].mean()) for g, figure in enumerate(figures) if figure is not None]
    return len(shown), sum(not figure.low <= truth <= figure.high for figure, truth in shown)


def test_many_small_classes_of_right_labels() -> None:
    """Neighbours are sure of wrong classes: most of their errors are taken for wrong labels."""
    x, y = gaussians((40,) * 26, 1.0, 12, 1)
    shown, missed = misses(estimated(x, y, KNeighborsClassifier(7), 26), np.zeros(len(y)))
    assert shown >= 8, "or there is nothing to be seen"
    assert missed <= 0.05 * shown


def test_many_small_classes_of_which_some_are_noisy() -> None:
    x, true = gaussians((60,) * 20, 1.4, 12, 0)
    rng = np.random.default_rng(0)
    wrong = rng.random(len(true)) < np.where(true < 5, 0.3, 0.0)
    estimate = estimated(x, np.where(wrong, true + 10, true), LogisticRegression(), 20)
    shown, missed = misses(estimate, wrong)
    assert shown >= 15
    assert missed <= 0.05 * shown


@pytest.mark.parametrize("model", [LogisticRegression(), KNeighborsClassifier(15)], ids=["logistic", "neighbours"])
def test_rare_classes_that_overlap_have_no_lower_end(model) -> None:
    """As those of yeast: a third of right labels is disagreed with, and no share of wrong ones may be said."""
    x, y = gaussians([round(900 * share) for share in YEAST], 0.6, 8, 1)
    estimate = estimated(x, y, model, len(YEAST))
    stats = estimate.stats
    assert 0.3 < stats.errors.sum() / stats.counted.sum() < 0.5
    assert misses(estimate, np.zeros(len(y)))[1] == 0


def test_a_class_that_features_do_not_tell_from_another_is_withheld() -> None:
    """Its labels look wrong for sure, as labels of the other class would."""
    x, y = gaussians((150,) * 6, 1.5, 10, 2)
    y[np.flatnonzero(y == 5)[:40]] = 6
    estimate = estimated(x, y, KNeighborsClassifier(9), 7)
    assert estimate.stats.wrong[6] > 0.8
    assert estimate.findings.wrong_withheld[6] == estimate.findings.uncertain_withheld[6] == LIKE_ANOTHER
    assert estimate.findings.most_issues(clear=True)[6] == 0, "none of its labels may be called wrong"
    assert estimate.findings.wrong[0] is not None


def test_labels_of_many_classes_in_a_small_one_are_shown() -> None:
    """More than half of its labels are wrong, and come from everywhere."""
    x, true = gaussians((300,) * 6 + (60,), 2.0, 10, 0)
    moved = np.random.default_rng(1).random(len(true)) < 0.05
    y = np.where(moved, 6, true)
    estimate = estimated(x, y, LogisticRegression(), 7)
    truth = (y != true)[y == 6].mean()
    assert truth > 0.5
    figure = estimate.findings.wrong[6]
    assert figure is not None
    assert figure.low <= truth <= figure.high


def three_that_overlap(seed):
    """Return features and true classes of seven Gaussians, of which three overlap."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(7), 200))
    centres = np.concatenate([0.5 * rng.normal(size=(3, 5)), 4 * rng.normal(size=(4, 5))])
    return rng.normal(size=(len(y), 5)) + centres[y], y


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", range(3))
def test_a_network_that_learned_rows_by_heart_names_no_wrong_labels_where_classes_overlap(seed: int) -> None:
    """It contradicts right labels as surely as wrong ones: of 20 % of a class, and more, T says that they are."""
    x, y = three_that_overlap(seed)
    network = MLPClassifier((32, 32), learning_rate_init=0.003, max_iter=600, random_state=seed)
    estimate = estimated(x, y, network, 7)
    assert estimate.stats.wrong[:3].max() > 0.2
    shown, missed = misses(estimate, np.zeros(len(y)))
    assert shown >= 4, "classes apart from the others have an upper bound"
    assert not missed
    assert OVERCONFIDENT in estimate.findings.wrong_withheld
    assert not estimate.findings.most_issues(clear=True).any(), "none may be called wrong"


@pytest.mark.parametrize("seed", range(3))
def test_clear_noise_is_shown_still(seed: int) -> None:
    x, true = gaussians((300,) * 5, 1.5, 10, seed)
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(true)) < 0.25
    y = np.where(wrong, (true + rng.integers(1, 5, len(true))) % 5, true)
    network = MLPClassifier((32,), alpha=1.0, early_stopping=True, random_state=seed)
    for model in (LogisticRegression(), network):
        estimate = estimated(x, y, model, 5)
        assert misses(estimate, wrong) == (5, 0), estimate.findings.wrong_withheld
        assert min(figure.low for figure in estimate.findings.wrong) > 0.1
