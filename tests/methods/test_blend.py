"""The mean of a network and of trees, against the two alone, with all that a network's run can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes, make_friedman2
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import skedastic as sk
from skedastic import cli
from skedastic.cli import console
from skedastic.data.targets.regression import Scale
from skedastic.errors import UserError
from skedastic.methods.blend import Blend
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.methods.linear import Linear
from skedastic.methods.mixup import Mixup
from skedastic.methods.sam import SAM
from skedastic.methods.trees import Trees
from skedastic.runs.export import export_run
from skedastic.training import train
from tests.support.methods import dataset, make_net
from tests.support.power_cut import PowerCut, cut_after
from tests.support.refusals import refused

QUICK = sk.TrainingConfig(epochs=4, batch_size=32)
SETTINGS = {"max_iter": 100, "learning_rate": 0.1, "max_leaf_nodes": 31, "l2_regularization": 3.0}


def rows() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_diabetes(return_X_y=True)
    return x.astype(np.float32), y


def fitted(method, **more):
    x, y = rows()
    return sk.fit(x, y, method=method, **{"train": QUICK, "test": None, "seed": 3} | more)


def test_it_is_the_mean_of_both_to_the_bit_and_without_a_share_the_network() -> None:
    x, _ = rows()
    network, trees, both = (fitted(m).predict(x) for m in (ERM(), Trees(), Blend(share=0.25)))
    np.testing.assert_allclose(both, 0.75 * network + 0.25 * trees, rtol=1e-5)
    np.testing.assert_array_equal(fitted(Blend(share=0.0)).predict(x), network)
    assert fitted(Blend(share=0.25)).net(torch.from_numpy(x)).shape == (len(x), 1)


def test_trees_of_numbers_are_those_of_scikit_learn() -> None:
    x, y = rows()
    boosted = HistGradientBoostingRegressor(**SETTINGS, early_stopping=False, random_state=3)
    unit = (y - y.mean()) / y.std()
    theirs = boosted.fit(x, unit.astype(np.float32)).predict(x) * y.std() + y.mean()
    np.testing.assert_allclose(fitted(Trees()).predict(x), theirs, rtol=1e-4)


def test_a_linear_model_of_numbers_is_that_of_scikit_learn() -> None:
    x, y = rows()
    kinds = np.random.default_rng(0).choice([0, 2, 5], len(y))
    numbers = torch.from_numpy(y)
    target = sk.data.Numbers(scale=Scale.fit(numbers))
    both = torch.from_numpy(np.column_stack([x, kinds]).astype(np.float32))
    bins = torch.zeros(len(y), dtype=torch.int64)
    data = replace(dataset(len(y)), x=both, y=numbers, group=bins, target=target, grouping=sk.data.Grouping(("all",)))
    found = train(Linear(l2=10.0), replace(data, ids=1), make_net, QUICK).predict(both)
    known = np.column_stack([StandardScaler().fit_transform(x), kinds[:, None] == [0, 2, 5]])
    theirs = Ridge(10.0).fit(known, target.scale.standardized(numbers).numpy()).predict(known)
    np.testing.assert_allclose(found, theirs * y.std() + y.mean(), rtol=1e-3)


def test_shares_of_classes_are_of_no_numbers() -> None:
    for method in (Trees(tau=1.0), Linear(tau=0.5)):
        assert method.capabilities.tasks == {"classification"}
        with pytest.raises(UserError, match="not for regression"):
            fitted(method)


@pytest.mark.parametrize("form", ["onnx", "torch-export", "safetensors"])
def test_a_run_is_saved_predicts_and_is_exported(tmp_path: Path, form: str) -> None:
    frame = load_diabetes(as_frame=True).frame
    frame = frame.assign(colour=np.where(frame["bmi"] > 0, "red", "pink"))
    frame.loc[::9, "bp"] = np.nan
    frame.to_csv(tmp_path / "rows.csv", index=False)
    result = sk.fit(str(tmp_path / "rows.csv"), target="target", method=Blend(base=HAR()), train=QUICK, test=0.3)
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    pd.testing.assert_series_equal(back.predict(frame), result.predict(frame))
    assert "equal to the network" in export_run(back, form, tmp_path / f"net.{form}")
    inputs = torch.zeros(2, *back.encoder.input_shape)
    with torch.inference_mode():
        both, network = (net(inputs).flatten() for net in (back.net, back.trained.state.net.eval()))
    assert not torch.allclose(both, network), "the trees are in it"


@pytest.mark.parametrize("epochs", [2, 4])
def test_an_interrupted_run_goes_on_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    monkeypatch.chdir(tmp_path)
    load_diabetes(as_frame=True).frame.to_csv("rows.csv", index=False)
    line = "fit rows.csv --target target --method blend --epochs 4 --set checkpoint_every=0 --out"
    cli.main([*line.split(), "whole"])
    with monkeypatch.context() as patch:
        cut = cut_after("train", epochs)
        patch.setattr(console.Shown, "__call__", lambda _, stage, done, total: cut(stage, done, total))
        with pytest.raises(PowerCut):
            cli.main([*line.split(), "run"])
    cli.main(["fit", "--resume", "run"])
    for name in ("model.safetensors", "predictions.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_classes_images_and_wrappings_are_refused() -> None:
    x, y = rows()
    with refused("method", "blend"):
        sk.fit(x, (y > y.mean()).astype(int), method=Blend(), train=QUICK)
    images = np.random.default_rng(0).integers(0, 255, (60, 1, 8, 8), dtype=np.uint8)
    with refused("method", "blend", rule="rows of numbers"):
        sk.fit(images, np.linspace(0, 1, 60), method=Blend(), train=QUICK)
    with refused("mixup.base", "blend", rule="turn them round"):
        Mixup(base=Blend())
    with refused("sam.base", "blend", rule="turn them round"):
        SAM(base=Blend())
    assert isinstance(Blend(base=Mixup()).base, Mixup)


def test_it_errs_less_than_either_where_they_err_apart() -> None:
    x, y = make_friedman2(1500, random_state=0)
    y[:1000] += np.random.default_rng(0).normal(0, 100, 1000)
    training = sk.TrainingConfig(epochs=15)
    network, trees, both = (
        sk.fit(x[:1000], y[:1000], method=m, train=training, test=(x[1000:], y[1000:])).metrics.value
        for m in (ERM(), Trees(), Blend())
    )
    assert both < 0.97 * min(network, trees)


@pytest.mark.parametrize("method", [Blend(base=HAR()), ERM()])
def test_an_exported_run_gives_numbers_in_the_units_of_the_target(tmp_path: Path, method) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    frame = load_diabetes(as_frame=True).frame
    frame.to_csv(tmp_path / "rows.csv", index=False)
    result = sk.fit(str(tmp_path / "rows.csv"), target="target", method=method, train=QUICK, test=None)
    said = export_run(result, "onnx", tmp_path / "net.onnx")
    assert "in the units of the target" in said
    x = result.encoder.transform(frame.drop(columns="target")).numpy()
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    [found] = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found.ravel(), result.predict(frame), rtol=1e-4)
