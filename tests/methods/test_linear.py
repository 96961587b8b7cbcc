"""The linear model against scikit-learn's own predictions, with all that a network's run can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skedastic as sk
from skedastic.core.choice import made_up_for
from skedastic.methods.bases.fitted import NEVER
from skedastic.methods.linear import STEPS, Linear
from skedastic.methods.sam import SAM
from skedastic.runs.export import export_run
from skedastic.training import TrainingConfig, train
from tests.support.methods import dataset, make_net
from tests.support.refusals import refused

TRAINING = TrainingConfig(epochs=5, batch_size=16)


def fitted(method, data):
    return train(method, data, make_net, TRAINING)


def of(x, y, names, **parts):
    data = replace(dataset(len(y)), x=torch.as_tensor(x).float(), y=torch.as_tensor(y), group=torch.as_tensor(y))
    return replace(data, target=sk.data.Classes(names), grouping=sk.data.Grouping(names), **parts)


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_it_is_that_of_scikit_learn(load) -> None:
    x, y = load(return_X_y=True)
    data = of(x, y, tuple(map(str, range(int(y.max()) + 1))))
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=STEPS)).fit(data.x.numpy(), y)
    trained = fitted(Linear(l2=2.0), data)
    np.testing.assert_allclose(trained.predict(data.x), theirs.predict_proba(data.x.numpy()), atol=2e-3)
    assert [row["epoch"] for row in trained.history] == [1], "a pass, whatever the epochs are"
    share, target = torch.bincount(data.y) / len(y), torch.linspace(1, 3, len(data.classes))
    for tau, given in ((1.0, ()), (0.5, tuple(target.tolist()))):
        found = fitted(Linear(l2=2.0, tau=tau, target=given), data).predict(data.x)
        expected = made_up_for(trained.predict(data.x), share, tau, target if given else None).softmax(1)
        torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=0)


def test_ids_are_categories_and_those_not_met_add_nothing() -> None:
    rng = np.random.default_rng(0)
    kinds, number = rng.choice([0, 2, 5], 400), rng.normal(size=400)
    y = (kinds == 2).astype(int)
    x = np.stack([number, kinds], 1)
    trained = fitted(Linear(), of(x, y, ("a", "b"), ids=1))
    theirs = LogisticRegression(max_iter=STEPS).fit(
        np.hstack([StandardScaler().fit_transform(x[:, :1]), OneHotEncoder().fit_transform(x[:, 1:]).toarray()]), y
    )
    rows = torch.tensor([[0.0, 0], [0.0, 2], [0.0, 5], [0.0, 1], [0.0, 99]])
    given = np.array([[(0 - number.mean()) / number.std(), *row] for row in [*np.eye(3), [0, 0, 0], [0, 0, 0]]])
    np.testing.assert_allclose(trained.predict(rows), theirs.predict_proba(given), atol=2e-3)


def test_numbers_of_texts_beside_other_columns_count_less() -> None:
    data = dataset(120)
    x = torch.cat([data.x, torch.randn(120, 200, generator=torch.Generator().manual_seed(0))], 1)
    mixed = replace(data, x=x, words=(6, 206))
    centred = (x - x.mean(0)) * torch.tensor([1.0] * 6 + [0.4] * 200)
    theirs = LogisticRegression(max_iter=STEPS).fit(centred.numpy(), data.y.numpy())
    np.testing.assert_allclose(fitted(Linear(), mixed).predict(x), theirs.predict_proba(centred.numpy()), atol=2e-3)


def test_a_class_without_rows_is_never_predicted_and_of_one_class_all_are() -> None:
    data = dataset(120)
    two = torch.where(data.y == 1, 2, data.y)
    for tau in (0.0, 1.0):
        found = fitted(Linear(tau=tau), replace(data, y=two, group=two)).state.net(data.x)
        assert float(found[:, 1].max()) == NEVER
        assert float((found.argmax(1) == two).double().mean()) > 0.6
    one = torch.full_like(data.y, 2)
    assert (fitted(Linear(), replace(data, y=one, group=one)).predict(data.x).argmax(1) == 2).all()


def test_images_and_wrappings_are_refused() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 1, 8, 8), dtype=np.uint8)
    with refused("method", "linear", rule="rows of numbers"):
        sk.fit(pixels, np.arange(60) % 2, method="linear")
    with refused("sam.base", "linear", rule="trains no network"):
        SAM(base=Linear())


@pytest.mark.parametrize("form", ["onnx", "torch-export", "safetensors"])
def test_a_run_is_saved_predicts_and_is_exported(tmp_path: Path, form: str) -> None:
    x, y = load_wine(return_X_y=True, as_frame=True)
    colours = np.array([f"colour {i % 41}" for i in range(len(x))])  # too many for indicators: ids
    frame = x.assign(kind=y.map({0: "a", 1: "b", 2: "c"}), colour=colours)
    frame.loc[::9, "ash"] = np.nan
    frame.to_csv(tmp_path / "wine.csv", index=False)
    result = sk.fit(str(tmp_path / "wine.csv"), target="kind", method=Linear(tau=1.0), test=0.3)
    assert result.metrics.value > 0.85
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    pd.testing.assert_frame_equal(back.predict_proba(frame), result.predict_proba(frame))
    assert "equal to the network" in export_run(back, form, tmp_path / f"net.{form}")
