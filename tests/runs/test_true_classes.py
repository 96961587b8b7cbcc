"""Predictions of the true classes: the formula, what auto chooses, and how they travel with a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import skedastic as sk
from skedastic.core.choice import Gain
from skedastic.core.transitions import of_true_classes
from skedastic.evaluation.calibration import with_temperature
from skedastic.runs.evaluate import evaluate_source
from skedastic.runs.load import load
from skedastic.runs.predict import predict_source
from skedastic.settings.methods import make_method
from tests.support.command_line import run
from tests.support.refusals import refused

CLASSES = ("a", "b", "c")
pytestmark = pytest.mark.filterwarnings("ignore:the (true classes|labels) are")


def blobs(seed: int, n: int, wrong: float = 0.0) -> pd.DataFrame:
    """Return rows of three classes, of which a share of those of a are labelled b."""
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 3, n)
    x = np.array([[0, 0], [2, 0], [0, 2]])[z] + rng.normal(0, 0.8, (n, 2))
    y = np.where((z == 0) & (rng.random(n) < wrong), 1, z)
    frame = pd.DataFrame(x, columns=["u", "v"])
    return frame.assign(label=[CLASSES[c] for c in y], truth=[CLASSES[c] for c in z])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with plain training on labels that go wrong one way, and clean new data."""
    path = tmp_path_factory.mktemp("true")
    blobs(0, 1500, 0.45).to_csv(path / "data.csv", index=False)
    new = blobs(1, 1500)
    new.to_csv(path / "new.csv", index=False)
    training = sk.TrainingConfig(epochs=12, lr=0.01, optimizer="adam")
    sk.fit(str(path / "data.csv"), target="label", truth="truth", method="erm", test=0.2, train=training).save(
        path / "run"
    )
    return path


def test_true_is_the_formula_by_file_and_in_python_and_finds_the_class_that_loses_its_labels(folder: Path) -> None:
    result, new = load(folder / "run"), blobs(1, 1500)
    p = torch.tensor(result.predict_proba(new).to_numpy())
    q = of_true_classes(p.clamp_min(1e-6), result.transitions.matrix)
    np.testing.assert_array_equal(result.predict_proba(new, labels="true").to_numpy(), q.numpy())
    notes: list[str] = []
    predict_source(result, str(folder / "new.csv"), folder / "t.parquet", labels="true", say=notes.append)
    written = pd.read_parquet(folder / "t.parquet")
    np.testing.assert_array_equal(written[["p_a", "p_b", "p_c"]].to_numpy(), q.numpy())
    assert written["predicted"].tolist() == result.predict(new, labels="true").tolist()
    assert len(notes) == 1
    assert notes[0].startswith("the true classes are predicted")
    given, true = (
        evaluate_source(result, str(folder / "new.csv"), labels=labels).groups["a"].value
        for labels in ("given", "true")
    )
    assert true > given + 0.03


def test_the_temperature_goes_first(folder: Path) -> None:
    result = load(folder / "run")
    p = torch.tensor(result.predict_proba(blobs(1, 1500)).to_numpy())
    q = of_true_classes(with_temperature(p, result.temperature).clamp_min(1e-6), result.transitions.matrix)
    predict_source(result, str(folder / "new.csv"), folder / "c.parquet", labels="true", calibrated=True)
    np.testing.assert_allclose(pd.read_parquet(folder / "c.parquet")[["p_a", "p_b", "p_c"]].to_numpy(), q.numpy())


def test_auto_asks_the_gain_the_classes_and_the_method(folder: Path) -> None:
    result, new = load(folder / "run"), blobs(1, 50)
    given, true = (result.predict_proba(new, labels=labels).to_numpy() for labels in ("given", "true"))
    known = replace(result.transitions, gain=Gain(0.03, 0.01))
    result = replace(result, transitions=known)
    cases = [
        (result, true, "the true classes are predicted, by how labels go wrong: it changes the log"),
        (replace(result, transitions=replace(known, gain=Gain(0.01, 0.01))), given, "not sure enough"),
        (replace(result, transitions=replace(known, gives_up=True)), given, "lose more than half"),
        (replace(result, transitions=None), given, "no estimate by held-out predictions"),
        (_trained_by(result, "har"), given, "trained otherwise"),
        (_trained_by(result, "erm(class_weights=balanced)"), given, "trained otherwise"),
        (_trained_by(result, "sam"), given, "trained otherwise"),
        (_trained_by(result, "har(strength=0)"), true, "the true classes are predicted"),
        (replace(result, method=make_method("tau-norm", {})), given, "trained otherwise"),
        (replace(result, method=make_method("sam(base=two-stage)", {})), given, "trained otherwise"),
        (_trained_by(result, "erm(loss=corrected, sampler=class-balanced)"), given, "trained otherwise"),
        (_trained_by(result, "forward-correction"), given, "by itself"),
        (_trained_by(result, "har(loss=corrected)"), given, "by itself"),
        (_trained_by(result, "sam(base=har(loss=corrected))"), given, "by itself"),
    ]
    for changed, expected, said in cases:
        notes: list[str] = []
        changed.calibration("auto", say=notes.append)
        assert len(notes) == 1
        assert said in notes[0]
        with pytest.warns(UserWarning, match=said):
            np.testing.assert_array_equal(changed.predict_proba(new, labels="auto").to_numpy(), expected)


def _trained_by(result: sk.Result, method: str) -> sk.Result:
    return replace(result, trained=replace(result.trained, method=make_method(method, {})))


def test_asked_for_in_spite_of_doubts_it_is_done_and_they_are_said(folder: Path) -> None:
    result, notes = load(folder / "run"), list[str]()
    other = _trained_by(result, "har")
    other.calibration("true", say=notes.append)
    (note,) = notes
    assert note.startswith("the true classes are predicted, but the estimate is for plain training")
    for wrong in ("Given", "none", None):
        with refused("labels", wrong):
            result.predict(blobs(1, 5), labels=wrong)
    with pytest.warns(UserWarning, match="by itself"):
        by_itself = _trained_by(result, "har(loss=corrected)").predict_proba(blobs(1, 50), labels="true")
    np.testing.assert_array_equal(by_itself, result.predict_proba(blobs(1, 50)))


def test_the_command_line_says_what_auto_chose(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = run(capsys, "predict", str(folder / "run"), str(folder / "new.csv"), "--labels", "auto", "--out",
              str(folder / "auto.csv"), "--force")  # fmt: skip
    assert "the labels are predicted, and not the true classes: the estimate" in " ".join((out + err).split())
    shown = []
    for labels in ("given", "true"):
        _, out, _ = run(capsys, "evaluate", folder / "run", folder / "new.csv", "--labels", labels, "--json")
        shown.append(next(group["accuracy"] for group in json.loads(out)["groups"] if group["name"] == "a"))
    assert shown[1] > shown[0] + 0.03


def test_an_older_run_has_no_transitions(folder: Path, tmp_path: Path) -> None:
    load(folder / "run").save(tmp_path / "old")
    state = json.loads((tmp_path / "old" / "state.json").read_text())
    assert np.allclose(np.sum(state["summary"].pop("transitions")["matrix"], axis=1), 1)
    (tmp_path / "old" / "state.json").write_text(json.dumps(state))
    old = load(tmp_path / "old")
    assert old.transitions is None
    with refused("labels", "true", rule="no estimate by held-out predictions"):
        old.predict(blobs(1, 5), labels="true")


def test_har_on_the_corrected_loss_is_trained_saved_and_loaded(folder: Path, tmp_path: Path) -> None:
    training = sk.TrainingConfig(epochs=12, lr=0.01, optimizer="adam")
    settings = {"target": "label", "truth": "truth", "test": 0.2, "train": training}
    result = sk.fit(str(folder / "data.csv"), method="har(loss=corrected)", **settings)
    torch.testing.assert_close(result.trained.state.of_classes[:, :-1], result.transitions.matrix.float())
    assert not result.trained.state.of_classes[:, -1].any(), "no shares are made up for"
    result.save(tmp_path / "run")
    new = blobs(1, 1500)
    np.testing.assert_array_equal(load(tmp_path / "run").predict_proba(new), result.predict_proba(new))
    right = (result.predict(new) == new["truth"])[new["truth"] == "a"].mean()
    assert right > (load(folder / "run").predict(new) == new["truth"])[new["truth"] == "a"].mean() + 0.03
    with refused("estimate.kind", "none", rule="needs each group"):
        sk.fit(str(folder / "data.csv"), method="erm(loss=corrected)", estimate=sk.Estimation(kind="none"), **settings)
