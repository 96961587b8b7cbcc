"""The noise from probabilities of the user's own: they take the place of the estimate's predictions, row by row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import skedastic as sk
from skedastic import pipeline
from skedastic.pipeline.prepare import open_data
from skedastic.settings.config import Config
from skedastic.settings.reading import build_config, to_toml
from tests.support.refusals import refused

QUICK = sk.TrainingConfig(epochs=3, batch_size=64, lr=0.05, device="cpu")
MODEL = {"name": "mlp", "width": 16, "depth": 1}


def frame(n=600):
    rng = np.random.default_rng(0)
    true = np.arange(n) % 3
    x = rng.normal(size=(n, 4))
    x[np.arange(n), true] += 3
    label = np.where(rng.random(n) < np.array([0.3, 0.1, 0.0])[true], (true + 1) % 3, true)
    names = np.array(["no", "some", "yes"])
    return pd.DataFrame(x, columns=[*"wxyz"]).assign(label=names[label], true=names[true])


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A table, and the held-out predictions that an estimate makes for all of its rows."""
    monkeypatch.chdir(tmp_path)
    frame().to_csv("rows.csv", index=False)
    config = settings(estimate={"folds": 3, "epochs": 8})
    found, data = pipeline.estimate(config)
    assert torch.equal(data.train.index, torch.arange(600))
    np.save("p.npy", found.held_out.numpy())
    pd.DataFrame(found.held_out.numpy(), columns=data.train.classes)[["yes", "no", "some"]].to_parquet("p.parquet")
    return found


def settings(**more) -> Config:
    given = {"source": "rows.csv", "target": "label", "truth": "true", "model": MODEL, "train": QUICK}
    return build_config({**given, **more})


def test_those_of_an_estimate_give_the_estimate(files) -> None:
    """T, and the noise with it, is that of three models taken for one."""
    found, data = pipeline.estimate(settings(pred_probs="p.npy"))
    assert (found.by, found.seconds) == ("pred_probs", 0.0)
    assert torch.allclose(found.held_out, files.held_out, atol=1e-6)
    assert torch.equal(found.stats.errors, files.stats.errors)
    assert torch.allclose(found.stats.wrong, files.stats.wrong, atol=0.03)
    assert torch.allclose(found.stats.uncertainty, files.stats.uncertainty, atol=0.03)
    assert ((found.stats.wrong >= files.stats.wrong_low) & (found.stats.wrong <= files.stats.wrong_high)).all()
    assert torch.allclose(found.transitions.matrix, files.transitions.matrix, atol=0.05)
    first = set(found.label_issues["index"].head(60)) & set(files.label_issues["index"].head(60))
    assert len(first) > 50
    assert any("p.npy; nothing was trained for it" in note for note in data.notes)


def test_nothing_is_trained_and_the_forms_agree(files, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("no_training")  # after those of the files were made
    by_order, _ = pipeline.estimate(settings(pred_probs="p.npy"))
    by_name, _ = pipeline.estimate(settings(pred_probs="p.parquet"))
    assert torch.equal(by_order.held_out, by_name.held_out)


def test_training_rows_have_their_own_and_test_rows_none(files) -> None:
    p = np.load("p.npy")
    result = sk.fit(
        "rows.csv",
        target="label",
        truth="true",
        method="har",
        model=MODEL,
        train=QUICK,
        limit=300,
        pred_probs="p.npy",
    )
    issues = result.label_issues
    assert len(issues) == 300
    rows = issues["index"].to_numpy()
    given, likely = issues["given"].to_numpy(), np.array(result.classes)[p[rows].argmax(1)]
    other = likely != given
    assert other.sum() > 20
    assert (issues["suggested"].to_numpy() == likely)[other].mean() > 0.95
    assert not set(rows) & set(result.predictions["index"])
    in_python = sk.fit(
        "rows.csv",
        target="label",
        truth="true",
        method="har",
        model=MODEL,
        train=QUICK,
        limit=300,
        pred_probs=pd.DataFrame(p, columns=result.classes),
    )
    assert torch.equal(in_python.strengths, result.strengths)
    assert (result.config.pred_probs, in_python.config.pred_probs) == ("p.npy", "given")
    with refused("pred_probs", "given", rule="given in Python"):
        pipeline.fit_config(in_python.config)


def test_rows_are_those_of_the_source_whatever_is_left_out(files) -> None:
    part = np.where(np.arange(600) % 5 == 2, "test", "train")
    pd.read_csv("rows.csv").assign(part=part).to_csv("rows.csv", index=False)
    pd.DataFrame({"row": range(50), "corrected": "remove"}).to_csv("gone.csv", index=False)
    data = open_data(settings(pred_probs="p.npy", split="part", labels="gone.csv"))
    index = data.train.index
    assert len(index) == 440
    assert int(index.min()) == 50
    assert torch.allclose(data.pred_probs, torch.from_numpy(np.load("p.npy"))[index], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["auto", "har", "incv", "erm(loss=corrected)", "co-teaching"])
def test_methods_go_on_as_with_any_estimate(method, files, tmp_path: Path) -> None:
    result = sk.fit("rows.csv", target="label", method=method, model=MODEL, train=QUICK, pred_probs="p.npy")
    result.save(tmp_path / "run")
    loaded = sk.load(tmp_path / "run")
    assert loaded.transitions is not None
    assert "your own class probabilities, in p.npy" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "cross-fit" not in (tmp_path / "run" / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_compare_takes_a_file(files) -> None:
    comparison = pipeline.compare(settings(pred_probs="p.npy", methods=("erm", "har"), seeds=1), jobs=1)
    assert comparison.methods == ("erm", "trees", "har")


def test_of_labels_alone_a_configuration_is_read_back(files) -> None:
    config = settings(pred_probs="p.npy")
    assert build_config({"source": "rows.csv", "pred_probs": "p.npy"}).pred_probs == "p.npy"
    assert 'pred_probs = "p.npy"' in to_toml(config)
    assert "pred_probs" not in to_toml(settings())


@pytest.mark.parametrize(
    ("more", "setting", "value"),
    [
        ({"estimate": {"kind": "paper"}}, "estimate.kind", "paper"),
        ({"estimate": {"kind": "annotators"}}, "estimate.kind", "annotators"),
        ({"estimate": {"kind": "none"}}, "estimate.kind", "none"),
        ({"estimate": {"by": "hgb"}}, "estimate.by", "hgb"),
        ({"estimate": {"folds": 5}}, "estimate.folds", 5),
        ({"estimate": {"epochs": 0.5}}, "estimate.epochs", 0.5),
        ({"groups": "cluster:2"}, "groups", "cluster:2"),
        ({"noise": "uniform:0.2"}, "noise", "uniform:0.2"),
        ({"pred_probs": " "}, "pred_probs", " "),
    ],
)
def test_a_setting_without_meaning_beside_them_is_refused(more, setting, value) -> None:
    with refused(setting, value):
        settings(**{"pred_probs": "p.npy", **more})


def test_clusters_need_networks() -> None:
    with refused("groups", "cluster:2", rule="estimate.by=logistic"):
        settings(groups="cluster:2", estimate={"by": "logistic"})


def test_useless_ones_are_said_to_tell_nothing(files) -> None:
    np.save("p.npy", np.load("p.npy")[np.random.default_rng(0).permutation(600)])
    found, _ = pipeline.estimate(settings(pred_probs="p.npy"))
    assert not found.findings.learned
    assert "see that each row of pred_probs is of the same row of the source" in found.findings.notes[0]


@pytest.mark.usefixtures("no_training")
def test_wrong_ones_are_refused_before_anything_is_trained() -> None:
    data = frame(60)
    x, y, p = data[[*"wxyz"]], data["label"], np.full((60, 3), 1 / 3)
    for given, setting in ((p[:50], "pred_probs"), (p[:, :2], "pred_probs"), (p * 2, "pred_probs, row 0")):
        with refused(setting):
            sk.fit(x, y, pred_probs=given)
    with refused("pred_probs", rule="regression"):
        sk.fit(x, data["w"] * 1.5, pred_probs=p)
