"""Commands on a run folder that are refused: the setting and the value are named, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import skedastic as sk
from tests.support.command_line import refusal, usage_error
from tests.support.refusals import check_refusal
from tests.support.tables import frame

RENAMED = ("renamed.csv", "city", "is it 'citty'?), + id, + citty, + label")
BAD = [  # a command line, the setting and the value that it is refused for, and a few words of the rule
    ("predict run new.csv --out p.txt", "--out", "p.txt", "must end in .csv, .parquet, .jsonl"),
    ("predict run new.csv --out data.csv", "--out", "data.csv", "there already"),
    ("predict run new.csv --out nowhere/p.csv", "--out", "nowhere/p.csv", "can't be written"),
    ("predict nowhere new.csv --out p2.csv", "nowhere", None, "not a run folder"),
    ("predict run absent.csv --out p2.csv", "absent.csv", None, "no such file"),
    ("predict run renamed.csv --out p2.csv", *RENAMED),
    ("predict run words.csv --out p2.csv", "words.csv, line 4, column 'x'", "much", "not a number"),
    ("predict run undated.csv --out p2.csv", "undated.csv, line 2, column 'day'", "soon", "not a date"),
    ("predict run new.csv --out p2.csv --keep idd", "new.csv, column to keep", "idd", "did you mean 'id'?"),
    ("predict run digits --out p2.csv", "digits", [1, 8, 8], "trained on a table"),
    ("evaluate run unlabelled.csv", "unlabelled.csv, target column", "label", "known: id, x, city"),
    ("evaluate run zebra.csv", "zebra.csv, line 2, column 'label'", "zebra", "does not occur in the training data"),
    ("evaluate run wardless.csv", "wardless.csv, groups column", "ward", "known: id, x, city"),
    ("evaluate run elsewhere.csv", "elsewhere.csv, line 2, column 'ward'", "x", "does not occur in the training data"),
    ("suspects nowhere", "nowhere", None, "not a run folder"),
    ("suspects run --out s.txt", "--out", "s.txt", "must end in"),
    ("suspects plain", "estimate.kind", "none", "no label issues"),
    ("predict plain new.csv --out p2.csv --calibrated", "calibrated", True, "no temperature"),
    ("predict plain new.csv --out p2.csv --labels true", "labels", "true", "no estimate by held-out predictions"),
    ("evaluate plain data.csv --labels true", "labels", "true", "no estimate by held-out predictions"),
    ("export run --format onxx --out m.onnx", "--format", "onxx", "did you mean 'onnx'?"),
    ("export run --out data.csv", "--out", "data.csv", "there already"),
    ("export run --out m.onnx --rows renamed.csv", *RENAMED),
    ("show nowhere", "nowhere", None, "not a run folder"),
    ("shwo run", "verb", "shwo", "did you mean 'show'?"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, a run without a test set or an estimate, and data that does not fit them."""
    path = tmp_path_factory.mktemp("refusals")
    frame().to_csv(path / "data.csv", index=False)
    new = frame(1, 40)
    new.to_csv(path / "new.csv", index=False)
    new.rename(columns={"city": "citty"}).to_csv(path / "renamed.csv", index=False)
    new.astype({"x": object}).assign(x=["1", "2", "much", *["3"] * 37]).to_csv(path / "words.csv", index=False)
    new.assign(day=["soon", *new["day"][1:]]).to_csv(path / "undated.csv", index=False)
    new.drop(columns="label").to_csv(path / "unlabelled.csv", index=False)
    new.assign(label="zebra").to_csv(path / "zebra.csv", index=False)
    new.drop(columns="ward").to_csv(path / "wardless.csv", index=False)
    new.assign(ward="x").to_csv(path / "elsewhere.csv", index=False)
    settings: dict[str, Any] = {
        "target": "label",
        "ignore": ["id"],
        "groups": "ward",
        "train": sk.TrainingConfig(epochs=1),
        "model": {"name": "auto", "width": 4},
    }
    rows = str(path / "data.csv")
    sk.fit(rows, test=0.2, **settings).save(path / "run")
    sk.fit(rows, method="erm", test=None, estimate=sk.Estimation(kind="none"), **settings).save(path / "plain")
    return path


@pytest.mark.parametrize(("line", "setting", "value", "rule"), BAD, ids=[line for line, *_ in BAD])
def test_bad_input_is_refused_and_nothing_is_written(
    line: str,
    setting: str,
    value: object,
    rule: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    check_refusal(refusal(capsys, *line.split(" "), alone=True), setting, value, rule=rule)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_an_option_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_error(capsys, "predict", "run", "new.csv") == "--out"
