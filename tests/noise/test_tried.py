"""Models of the estimate in place of trials: which are the same, and what they hand on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from skedastic.losses.gce import GCE
from skedastic.methods.auto import PLAIN, Auto
from skedastic.methods.trees import Trees
from skedastic.noise.estimate import estimate_groups
from skedastic.noise.tried import foretold
from skedastic.pipeline.steps import with_estimate
from skedastic.settings.config import Estimation
from skedastic.training import train
from skedastic.training.loop import make_task
from tests.noise.test_classifiers import TRAINING, checkerboard, small_net


def estimated(data, **settings):
    return estimate_groups(data, small_net, TRAINING, Estimation(**settings), seed=3)


def first_half(data):
    halved = make_task(data).halved
    assert halved is not None
    return halved(3, None)


def known(data, method, found, *, epochs=TRAINING.epochs, seed=3):
    """Return what the models of an estimate hand on to the trials of a method."""
    return foretold(method, replace(make_task(data), seed=seed), found.tried, epochs)


def test_the_networks_and_the_trees_of_the_estimate_are_trials_of_plain_training_and_of_trees() -> None:
    data = checkerboard(300)
    found = estimated(data)
    values = known(data, Auto(), found)
    assert set(values) == {f"{way}, half {k}" for way in (PLAIN, "trees") for k in (1, 2)}
    first = first_half(data)
    for k, rows in ((1, ~first), (2, first)):
        assert torch.equal(values[f"trees, half {k}"], found.held_out[rows]), "trees estimate here"
    task = with_estimate(replace(make_task(data), seed=3), found, Auto(), TRAINING.epochs)
    trained = train(Auto(), data, small_net, TRAINING, seed=3, task=task)
    stages = {row["stage"] for row in trained.history}
    assert not stages & set(values), "they are not trained again"
    assert {"mixup, half 1", "mixup, half 2"} < stages
    trial = next(t for t in trained.trials if t.name.endswith("boosting"))
    assert not trial.half


def test_trees_are_those_that_the_trial_would_fit() -> None:
    data = checkerboard(300)
    found = estimated(data)
    of_trees = [model for model in found.tried if model.method == Trees()]
    assert len(of_trees) == 2
    for model in of_trees:
        alone = train(Trees(), data.subset(model.rows), small_net, TRAINING)
        expected = alone.predict(data.subset(model.predicted).x)
        torch.testing.assert_close(model.values, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("change", ["seed", "epochs", "loss", "folds", "ids", "votes"])
def test_models_of_other_rows_lengths_and_ways_are_none(change: str) -> None:
    data, given = checkerboard(300), {}
    if change in ("seed", "epochs"):
        given = {change: 8}
    if change == "ids":
        data = replace(data, x=data.x.floor(), ids=1)
    if change == "votes":
        data = replace(data, soft=torch.nn.functional.one_hot(data.y, 2).float())
    found = estimated(data, **({"folds": 3} if change == "folds" else {}))
    method = Auto(loss=GCE()) if change == "loss" else Auto()
    plain, trees = ({f"{way}, half {k}" for k in (1, 2)} for way in (PLAIN, "trees"))
    assert set(known(data, method, found, **given)) == {"epochs": trees, "ids": plain}.get(change, set())


def test_trees_that_are_not_ahead_on_one_fold_are_not_fitted_to_the_other() -> None:
    data = checkerboard(300)
    shuffled = replace(data, y=data.y[torch.randperm(300, generator=torch.Generator().manual_seed(0))])
    found = estimated(replace(shuffled, group=shuffled.y))
    assert found.by == "model"
    [trees] = [model for model in found.tried if model.method == Trees()]
    assert torch.equal(trees.rows, first_half(found.dataset).nonzero().flatten()), "the first half"
