"""Held-out predictions by classifiers of scikit-learn: whom they see, what they read, and how near they come."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from skedastic.data import Classes, Grouping
from skedastic.noise.classifiers import MOST_BINS, check_classifier, class_probabilities, may_be_better
from skedastic.noise.estimate import BY_TREES, estimate_groups
from skedastic.settings.config import Estimation
from skedastic.training import TrainingConfig
from tests.noise.test_estimate import dataset
from tests.support.refusals import refused

TRAINING = TrainingConfig(epochs=2, batch_size=32, lr=0.1, device="cpu")
BOTH = pytest.mark.parametrize("by", ["hgb", "logistic"])


def no_net():
    raise AssertionError("no network is needed")


def estimate(data, by, **options):
    return estimate_groups(data, no_net, TRAINING, Estimation(by=by), **options)


def right(found, data) -> float:
    return float((found.held_out.argmax(1) == data.y).double().mean())


@pytest.mark.slow
@BOTH
def test_it_finds_the_noise_without_any_network(by) -> None:
    data = dataset(2000, noise=(0.3, 0.0, 0.1))
    found = estimate(data, by)
    clean = torch.arange(2000) % 4
    true = [float((clean != data.y)[data.y == c].double().mean()) for c in range(4)]
    assert np.abs(found.stats.wrong.numpy() - true).mean() < 0.03
    assert spearmanr(found.stats.wrong, true).statistic > 0.7
    assert found.by == by
    assert found.transitions is not None
    assert torch.allclose(found.held_out.sum(1), torch.ones(2000))


@BOTH
def test_no_row_is_predicted_by_a_classifier_that_saw_it_or_its_unit(by) -> None:
    """Labels are drawn by unit, and features tell the unit: who saw a row, or another of its unit, is always right."""
    rng = np.random.default_rng(0)
    unit = torch.from_numpy(np.arange(1200) % 20)
    label = torch.from_numpy(rng.permutation(np.arange(20) % 2))
    data = dataset(1200, 2)
    data = replace(data, x=torch.eye(20)[unit] * 5, y=label[unit], group=label[unit])
    assert right(estimate(data, by), data) > 0.95  # rows of a unit are in both folds
    assert right(estimate(replace(data, unit=unit), by), data) < 0.7


def checkerboard(n=1200):
    """Clean labels that a small network does not learn in two epochs, and trees do."""
    x = torch.from_numpy(np.random.default_rng(0).uniform(0, 3, (n, 2))).float()
    y = x.floor().long().sum(1) % 2
    return replace(dataset(n, 2), x=x, y=y, group=y)


def small_net():
    return torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 2))


def test_by_default_trees_estimate_where_they_predict_labels_better_than_networks() -> None:
    data = checkerboard()
    found = estimate_groups(data, small_net, TRAINING, Estimation())
    assert (found.by, found.notes) == ("hgb", (BY_TREES,))
    assert torch.equal(found.held_out, estimate(data, "hgb").held_out)
    assert float(found.stats.wrong.max()) < 0.05, "labels are clean"
    by_model = estimate_groups(data, small_net, TRAINING, Estimation(by="model"))
    assert (by_model.by, by_model.notes) == ("model", ())
    assert right(by_model, data) < right(found, data) - 0.1
    linear = dataset(1200, 2)
    longer = replace(TRAINING, epochs=20)
    found = estimate_groups(linear, lambda: torch.nn.Linear(linear.x.shape[1], 2), longer, Estimation())
    assert (found.by, found.notes) == ("model", ()), "networks do as well"


@pytest.mark.parametrize("how", [Estimation(kind="paper"), Estimation(by="model")])
def test_trees_are_not_tried_where_something_else_was_asked_for_or_they_are_slow(how) -> None:
    data = checkerboard(200)
    assert may_be_better(Estimation(), data)
    assert not may_be_better(how, data)
    wide = replace(data, x=torch.rand(200, 129))
    assert not may_be_better(Estimation(), wide)
    assert not may_be_better(Estimation(), replace(data, x=torch.rand(200, 1, 8, 8), kind="image"))


@BOTH
def test_a_seed_gives_the_same_to_the_bit(by) -> None:
    data = dataset(120, noise=(0.3,))
    assert torch.equal(estimate(data, by, seed=3).held_out, estimate(data, by, seed=3).held_out)


def of_categories(ids):
    """A label for each category, which no order of the ids tells, and a number that tells nothing."""
    rng = np.random.default_rng(0)
    label = torch.from_numpy(rng.permutation(np.arange(int(ids.max()) + 1) % 2))
    data = dataset(len(ids), 2)
    x = torch.stack([torch.from_numpy(rng.normal(size=len(ids))).float(), ids.float()], 1)
    return replace(data, x=x, y=label[ids], group=label[ids], ids=1)


@BOTH
def test_ids_are_categories_and_no_numbers(by) -> None:
    data = of_categories(torch.arange(1800) % 30)
    assert right(estimate(data, by), data) > 0.95
    if by == "logistic":
        assert right(estimate(replace(data, ids=0), by), data) < 0.65


@BOTH
def test_of_a_great_many_categories_the_frequent_ones_are_told_apart(by) -> None:
    frequent = torch.arange(1200) % 20
    data = of_categories(torch.cat([frequent, torch.arange(4 * MOST_BINS) // 2 + 20]))
    found = estimate(data, by)
    assert float((found.held_out.argmax(1) == data.y)[:1200].double().mean()) > 0.95


@BOTH
def test_a_class_that_training_rows_lack_has_probability_0(by) -> None:
    data = dataset(90, 3)
    rest = data.subset((data.y != 1).nonzero().flatten())
    p = class_probabilities(Estimation(by=by), rest, data.x, 0)
    assert p.shape == (90, 3)
    assert float(p[:, 1].max()) == 0
    assert float((p.argmax(1) == data.y)[data.y != 1].double().mean()) > 0.9
    one = data.subset((data.y == 2).nonzero().flatten())
    assert torch.equal(class_probabilities(Estimation(by=by), one, data.x, 0), torch.eye(3)[[2] * 90])


@BOTH
def test_labels_that_nothing_tells_are_not_learned_and_the_way_out_trains_no_longer(by) -> None:
    data = dataset(200)
    drawn = data.y[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    found = estimate(replace(data, y=drawn, group=drawn), by)
    assert not found.findings.learned
    [note] = found.findings.notes
    assert f"another estimate.by than {by}" in note
    assert "train longer" not in note


def test_what_it_can_not_read_is_refused() -> None:
    how, data = Estimation(by="hgb"), dataset(40)
    with refused("estimate.by", "hgb", rule="no images"):
        check_classifier(how, replace(data, kind="image"))
    with refused("estimate.by", "hgb", rule="no tokens"):
        check_classifier(how, replace(data, kind="text", tokens=4))
    with refused("estimate.by", "hgb", rule="regression"):
        check_classifier(how, replace(data, target=Classes(()), grouping=Grouping(data.groups)))
    check_classifier(Estimation(), replace(data, kind="image"))
    check_classifier(how, data)


@pytest.mark.parametrize("kind", ["annotators", None])
def test_it_needs_an_estimate_that_predicts(kind) -> None:
    with refused("estimate.by", "hgb", rule="leave one of them out"):
        Estimation(by="hgb", kind=kind)
    with refused("estimate.epochs", 0.5, rule="leave it out"):
        Estimation(by="hgb", epochs=0.5)
    with refused("estimate.by", "trees", rule="model, hgb"):
        Estimation(by="trees")
