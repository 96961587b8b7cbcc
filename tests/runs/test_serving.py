"""From a run folder to other data: predictions, figures, suspects, exports; in a new process the same to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

import skedastic as sk
from skedastic.evaluation.calibration import fit_temperature, with_temperature
from skedastic.runs.evaluate import evaluate_source
from skedastic.runs.export import export_run
from skedastic.runs.label_issues import issues_with_rows
from skedastic.runs.load import load, load_summary
from skedastic.runs.predict import predict_source
from tests.support.paths import SOURCE
from tests.support.refusals import refused
from tests.support.tables import frame


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, the data it was trained on, and new data."""
    folder = tmp_path_factory.mktemp("serving")
    frame().to_csv(folder / "data.csv", index=False)
    frame(1, 40).to_csv(folder / "new.csv", index=False)
    frame(1, 40).to_parquet(folder / "new.parquet")
    command = [
        "fit", "data.csv", "--target", "label", "--ignore", "id", "--groups", "ward", "--epochs", "2", "--out", "run",
        "--set", "model.width=8",
        "--set", "train.lr=0.01", "--set", "train.optimizer=adam", "--set", "estimate.epochs=10",
    ]  # fmt: skip
    run(folder, *command)
    return folder


def run(folder: Path, *command: str, status: int = 0) -> str:
    """Run the command line in a process of its own; return its output, errors last."""
    done = subprocess.run(
        [sys.executable, "-m", "skedastic", *command],
        cwd=folder,
        env={"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_predictions_in_a_new_process_are_equal_to_the_bit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    result = load("run")
    p = result.predict_proba(frame(1, 40)).to_numpy()
    run(here, "predict", "run", "new.csv", "--out", "p.parquet", "--force")
    from_csv = pd.read_parquet("p.parquet")
    run(here, "predict", "run", "new.parquet", "--out", "q.parquet", "--keep", "id", "--force")
    from_parquet = pd.read_parquet("q.parquet")
    np.testing.assert_array_equal(from_csv[["p_low", "p_mid", "p_top"]].to_numpy(), p)
    pd.testing.assert_frame_equal(from_csv, from_parquet.drop(columns="id"))
    assert list(from_parquet.columns) == ["row", "id", "predicted", "group", "p_low", "p_mid", "p_top"]
    assert from_parquet["id"].tolist() == list(range(1000, 1040))
    assert from_csv["group"].tolist() == frame(1, 40)["ward"].tolist()
    assert from_csv["predicted"].tolist() == result.predict(frame(1, 40)).tolist()
    for ending in ("csv", "jsonl"):
        run(here, "predict", "run", "new.csv", "--out", f"p.{ending}", "--force")
    written = pd.read_csv("p.csv")
    np.testing.assert_allclose(written["p_top"], p[:, 2], rtol=1e-5)
    lines = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert [line["predicted"] for line in lines] == from_csv["predicted"].tolist()


@pytest.mark.slow
def test_a_csv_and_its_parquet_give_the_same_model(here: Path) -> None:
    pd.read_csv(here / "data.csv").to_parquet(here / "data.parquet")
    options = ["--target", "label", "--ignore", "id", "--groups", "ward", "--epochs", "1", "--set", "model.width=8"]
    for ending in ("csv", "parquet"):
        run(here, "fit", f"data.{ending}", *options, "--out", f"same-{ending}", "--force")
    a, b = (load(here / f"same-{ending}") for ending in ("csv", "parquet"))
    for (name, p), (_, q) in zip(a.net.state_dict().items(), b.net.state_dict().items(), strict=True):
        assert torch.equal(p, q), name
    assert a.encoder.to_json() == b.encoder.to_json()


@pytest.mark.slow
def test_rows_are_predicted_part_by_part(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = load(here / "run")
    monkeypatch.setattr("skedastic.data.sources.unlabelled.ROWS", 7)
    for name in ("new.csv", "new.parquet"):
        predict_source(result, str(here / name), here / "parts.parquet", force=True)
        whole = result.predict_proba(frame(1, 40))
        np.testing.assert_allclose(
            pd.read_parquet(here / "parts.parquet")[["p_low", "p_mid", "p_top"]], whole, rtol=1e-4, atol=1e-6
        )
    assert pq.ParquetFile(here / "parts.parquet").num_row_groups == 6


@pytest.mark.slow
def test_calibrated_probabilities(here: Path) -> None:
    result = load(here / "run")
    assert result.temperature is not None
    predict_source(result, str(here / "new.csv"), here / "plain.parquet", force=True)
    predict_source(result, str(here / "new.csv"), here / "calibrated.parquet", calibrated=True, force=True)
    plain, calibrated = (
        torch.tensor(pd.read_parquet(here / f"{n}.parquet")[["p_low", "p_mid", "p_top"]].to_numpy())
        for n in ("plain", "calibrated")
    )
    torch.testing.assert_close(calibrated, with_temperature(plain, result.temperature))
    assert torch.equal(plain.argmax(1), calibrated.argmax(1))


def test_the_temperature_is_the_one_that_was_put_in() -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(20_000, 4)
    y = torch.multinomial(logits.softmax(1), 1).squeeze(1)
    for temperature in (0.5, 1.0, 3.0):
        sharp = (logits * temperature).softmax(1)  # as sure of itself as `temperature` times too much
        assert fit_temperature(sharp, y) == pytest.approx(temperature, rel=0.05)
    assert fit_temperature(logits[:0].softmax(1), y[:0]) is None
    torch.testing.assert_close(with_temperature(logits.softmax(1), 1.0), logits.softmax(1))


@pytest.mark.slow
def test_evaluating_the_test_rows_gives_the_metrics_of_the_run(here: Path, tmp_path: Path) -> None:
    result = load(here / "run")
    test = pd.read_csv(here / "data.csv").iloc[result.predictions["index"].to_numpy()]
    test.to_csv(tmp_path / "test.csv", index=False)
    metrics = evaluate_source(result, str(tmp_path / "test.csv"))
    assert metrics.overall == result.metrics.overall
    assert metrics.groups == result.metrics.groups
    assert "of the 60 test rows are right" in run(here, "evaluate", "run", str(tmp_path / "test.csv"))
    assert (
        json.loads(run(here, "evaluate", "run", str(tmp_path / "test.csv"), "--json"))["overall"]
        == metrics.to_dict()["overall"]
    )


@pytest.mark.slow
def test_suspects_can_be_corrected_and_trained_again(here: Path) -> None:
    said = run(here, "suspects", "run", "--top", "5", "--out", "check.csv", "--force")
    assert "5 rows: check.csv" in said
    check = pd.read_csv(here / "check.csv")
    assert list(check.columns[:5]) == ["rank", "row", "given", "corrected", "suggested"]
    data = pd.read_csv(here / "data.csv")
    assert check["given"].tolist() == data["label"].iloc[check["row"]].tolist()
    assert check["said"].tolist() == data["said"].iloc[check["row"]].tolist()
    check["corrected"] = check["suggested"]
    check.to_csv(here / "checked.csv", index=False)
    said = run(
        here,
        "fit",
        "--config",
        "run/config.toml",
        "--labels",
        "checked.csv",
        "--epochs",
        "1",
        "--out",
        "again",
        "--force",
    )
    assert "checked.csv: 5 labels corrected, 0 rows removed" in said
    run(here, "suspects", "run", "--out", "check.parquet", "--force")
    assert len(pd.read_parquet(here / "check.parquet")) == load_summary(here / "run").issue_count


@pytest.mark.slow
def test_the_summary_and_the_card_have_the_figures_of_the_run(here: Path) -> None:
    result = load(here / "run")
    shown = run(here, "show", "run")
    assert f"{result.metrics.value:.1%} of the 60 test rows are right" in shown
    card = (here / "run" / "README.md").read_text("utf-8")
    assert card.startswith("---\nlibrary_name: skedastic\npipeline_tag: text-classification\n")
    for words in ("`city` (category)", "`said` (text)", "## Limits", "| n | ", "skedastic predict run new.csv"):
        assert words in card, words
    assert f"{result.metrics.value * 100:.1f} %" in card


@pytest.mark.slow
def test_an_export_is_equal_on_real_rows(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    assert "equal to the network on 300 rows" in export_run(load("run"), "onnx", "net.onnx", force=True)
    import onnxruntime

    result = load("run")
    x = result.encoder.for_prediction(frame(1, 40))
    out = onnxruntime.InferenceSession("net.onnx").run(None, {"x": x.numpy()})[0]
    np.testing.assert_allclose(torch.from_numpy(out).softmax(1), result.predict_proba(frame(1, 40)), atol=1e-4)


def test_regression_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    real = pd.DataFrame({"x": rng.normal(size=80), "z": rng.normal(size=80)}).assign(y=lambda f: f.x * 2 + f.z)
    real.to_csv("real.csv", index=False)
    sk.fit("real.csv", target="y", method="erm", test=0.2, train=sk.TrainingConfig(epochs=1)).save("real")
    assert predict_source(load("real"), "real.csv", "p.csv") == 80
    assert list(pd.read_csv("p.csv").columns) == ["row", "predicted"]
    assert evaluate_source(load("real"), "real.csv").overall.rmse > 0
    with refused("calibrated", True, rule="only probabilities"):
        predict_source(load("real"), "real.csv", "q.csv", calibrated=True)
    with refused("labels", "true", rule="predicts numbers"):
        predict_source(load("real"), "real.csv", "q.csv", labels="true")
    assert predict_source(load("real"), "real.csv", "auto.csv", labels="auto", say=print) == 80
    sk.fit("digits", method="erm", test=0.2, train=sk.TrainingConfig(epochs=1)).save("digits-run")
    assert predict_source(load("digits-run"), "digits", "p.jsonl") == 1797
    rows = rng.normal(size=(60, 3))
    np.savez("rows.npz", X=rows, y=(rows[:, 0] > 0).astype(int))
    sk.fit("rows.npz", target="y", test=0.2, train=sk.TrainingConfig(epochs=8, batch_size=16, lr=0.1)).save("rows")
    assert list(issues_with_rows(load_summary("rows"), 3).columns[-3:]) == ["x0", "x1", "x2"]
    assert "equal to the network on 60 rows" in export_run(load("rows"), "safetensors", "rows.safetensors")
    np.savez("few.npz", X=rng.random((5, 8, 8)))
    assert predict_source(load("digits-run"), "few.npz", "few.csv") == 5
    np.savez("other.npz", X=rng.random((5, 9, 8)))
    with refused("other.npz", rule="the model was trained on [1, 8, 8]"):
        predict_source(load("digits-run"), "other.npz", "q.csv")
    with refused("real.csv", rule="no images"):
        predict_source(load("digits-run"), "real.csv", "q.csv")
    assert not Path("q.csv").exists()


@pytest.mark.parametrize("method", ["mixup", "vat", "elr-plus", "two-stage(first=mixup, then=erm)"])
def test_ids_are_neither_mixed_nor_moved(method: str) -> None:
    with refused("method", rule="numbers or pixels"):
        sk.fit(frame().drop(columns="id"), target="label", method=method, train=sk.TrainingConfig(epochs=1))


@pytest.mark.slow
def test_every_other_method_takes_a_table_with_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame().to_csv("data.csv", index=False)
    config = sk.Config(
        source="data.csv", target="label", ignore=("id",), methods=("all",), reference="0.1", seeds=1,
        noise="uniform:0.1", model={"name": "auto", "width": 4},
        train=sk.TrainingConfig(epochs=1, batch_size=32),
    )  # fmt: skip
    comparison = sk.compare(config)
    assert len(comparison.methods) >= 59
    assert not comparison.failed
    assert "for numbers or pixels" in comparison.config.notes[0]
