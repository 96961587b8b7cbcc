"""Boosted trees against scikit-learn's own predictions, with all that a network's run can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier

import skedastic as sk
from skedastic.core.choice import made_up_for
from skedastic.methods.auto import Auto
from skedastic.methods.bases.fitted import NEVER
from skedastic.methods.erm import ERM
from skedastic.methods.fitted_ways import TREES
from skedastic.methods.sam import SAM
from skedastic.methods.trees import Trees, can_read_trees, places_read
from skedastic.methods.two_stage import TwoStage
from skedastic.runs.export import export_run
from skedastic.training import TrainingConfig, train
from tests.support.methods import dataset, make_net, task
from tests.support.refusals import refused
from tests.support.tables import sharp_rules

TRAINING = TrainingConfig(epochs=5, batch_size=16)
SETTINGS = {"max_iter": 7, "learning_rate": 0.3, "max_leaf_nodes": 5, "l2_regularization": 0.5}
SETTINGS |= {"early_stopping": False, "random_state": 0}
OURS = Trees(iterations=7, lr=0.3, leaves=5, l2=0.5)


def fitted(method, data):
    return train(method, data, make_net, TRAINING)


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_trees_are_those_of_scikit_learn(load) -> None:
    x, y = load(return_X_y=True)
    rows, labels = torch.from_numpy(x).float(), torch.from_numpy(y)
    data = replace(dataset(len(y)), x=rows, y=labels, group=labels)
    names = tuple(map(str, range(int(y.max()) + 1)))
    data = replace(data, target=sk.data.Classes(names), grouping=sk.data.Grouping(names))
    theirs = HistGradientBoostingClassifier(**SETTINGS).fit(rows.numpy(), y)
    trained = fitted(OURS, data)
    np.testing.assert_allclose(trained.predict(rows), theirs.predict_proba(rows.numpy()), atol=1e-6)
    assert [row["epoch"] for row in trained.history] == [1], "a pass, whatever the epochs are"
    share = torch.bincount(labels) / len(labels)
    balanced = fitted(replace(OURS, tau=1.0), data).predict(rows).argmax(1)
    assert torch.equal(balanced, made_up_for(trained.predict(rows), share, 1.0).argmax(1))
    target = torch.linspace(1, 3, len(names))
    shifted = fitted(replace(OURS, tau=0.5, target=tuple(target.tolist())), data).predict(rows).argmax(1)
    assert torch.equal(shifted, made_up_for(trained.predict(rows), share, 0.5, target).argmax(1))


def test_a_class_without_rows_is_never_predicted_and_of_one_class_all_are() -> None:
    data = dataset(120)
    two = torch.where(data.y == 1, 2, data.y)
    found = fitted(OURS, replace(data, y=two, group=two)).state.net(data.x)
    assert float(found[:, 1].max()) == NEVER
    balanced = fitted(replace(OURS, tau=3.0), replace(data, y=two, group=two)).predict(data.x).argmax(1)
    assert not (balanced == 1).any()
    one = torch.full_like(data.y, 2)
    assert (fitted(OURS, replace(data, y=one, group=one)).predict(data.x).argmax(1) == 2).all()


def test_of_texts_beside_other_columns_they_read_the_leading_numbers() -> None:
    data = dataset(120)
    x = torch.cat([data.x[:, :2], torch.randn(120, 30, generator=torch.Generator().manual_seed(0)), data.x[:, 2:]], 1)
    mixed = replace(data, x=x, words=(2, 32))
    for words, read in ((16, [*range(18), *range(32, 36)]), (0, [0, 1, *range(32, 36)]), (99, range(36))):
        assert places_read(36, (2, 32), words).tolist() == list(read)
        ours = fitted(replace(OURS, words=words), mixed).predict(x)
        alone = fitted(OURS, replace(data, x=x[:, list(read)])).predict(x[:, list(read)])
        torch.testing.assert_close(ours, alone)
    assert places_read(5, (0, 0)).tolist() == [*range(5)], "without such a text they read all"


def test_of_votes_they_fit_the_majority() -> None:
    data = dataset(120)
    soft = 0.4 * torch.nn.functional.one_hot((data.y + 1) % 3, 3) + 0.6 * torch.nn.functional.one_hot(data.y, 3)
    votes = replace(data, soft=soft)
    auto = train(Auto(), votes, make_net, TRAINING, task=task(votes))
    trials = [trial for trial in auto.trials if "boosting" in trial.name]
    assert len(trials) == 2
    assert torch.equal(fitted(OURS, votes).predict(data.x), fitted(OURS, data).predict(data.x))


def test_they_do_not_depend_on_the_order_of_rows_or_the_seed_of_batches() -> None:
    data = dataset(120)
    first, other = (train(OURS, data, make_net, TRAINING, seed=s) for s in (1, 2))
    assert torch.equal(first.predict(data.x), other.predict(data.x))


def test_images_and_wrappings_are_refused() -> None:
    with refused("method", "trees", rule="rows of numbers"):
        sk.fit(
            np.random.default_rng(0).integers(0, 255, (60, 1, 8, 8), dtype=np.uint8), np.arange(60) % 2, method="trees"
        )
    with refused("sam.base", "trees", rule="trains no network"):
        SAM(base=Trees())
    with refused("two-stage.first", "trees", rule="trains no network"):
        TwoStage(first=Trees())


@pytest.mark.parametrize("form", ["onnx", "torch-export", "safetensors"])
def test_a_run_of_trees_is_saved_predicts_is_compared_and_exported(tmp_path: Path, form: str) -> None:
    x, y = load_wine(return_X_y=True, as_frame=True)
    frame = x.assign(kind=y.map({0: "a", 1: "b", 2: "c"}), colour=np.where(x["hue"] > 1, "red", "pink"))
    frame.loc[::9, "ash"] = np.nan
    frame.to_csv(tmp_path / "wine.csv", index=False)
    result = sk.fit(str(tmp_path / "wine.csv"), target="kind", method=OURS, test=0.3)
    assert result.metrics.value > 0.9
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    pd.testing.assert_frame_equal(back.predict_proba(frame), result.predict_proba(frame))
    said = export_run(back, form, tmp_path / f"net.{form}")
    assert "equal to the network" in said


def test_a_run_is_loaded_beside_a_scikit_learn_that_keeps_trees_in_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = sharp_rules(200)
    results = [sk.fit(x, y, method=method, train=sk.TrainingConfig(epochs=1)) for method in (OURS, Auto())]
    for result, folder in zip(results, ("trees", "auto"), strict=True):
        result.save(tmp_path / folder)
    monkeypatch.setattr("skedastic.methods.trees.read_trees", lambda *_: {}["nodes"])
    can_read_trees.cache_clear()
    try:
        for result, folder in zip(results, ("trees", "auto"), strict=True):
            np.testing.assert_array_equal(sk.load(tmp_path / folder).predict_proba(x), result.predict_proba(x))
        with refused("method", "trees", rule="scikit-learn"):
            sk.fit(x, y, method=OURS)
        assert not set(TREES) & set(Auto().ways(task(dataset(120))))
    finally:
        can_read_trees.cache_clear()


def test_they_find_sharp_rules_that_networks_do_not() -> None:
    x, y = sharp_rules()
    networks, trees = (sk.fit(x, y, method=m, train=sk.TrainingConfig(epochs=5)).metrics for m in (ERM(), Trees()))
    assert trees.value > networks.value + 0.1
