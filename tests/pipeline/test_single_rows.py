"""Classes with a single training row: the row is set aside, and the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import skedastic as sk
from skedastic.data import corrupt, from_arrays, reference_rows, without_single_rows
from skedastic.pipeline.prepare import open_data
from skedastic.settings.reading import read
from tests.support.command_line import run
from tests.support.refusals import refused

QUICK: dict[str, Any] = {
    "train": sk.TrainingConfig(epochs=2, batch_size=16, device="cpu"),
    "model": {"name": "mlp", "width": 8},
}


def labelled(*single: str) -> tuple[np.ndarray, np.ndarray]:
    """Return 60 rows of two classes and, at the end, a row of each class of `single`."""
    y = np.array(["a", "b"] * 30 + list(single), dtype=object)
    x = np.random.default_rng(0).normal(size=(len(y), 3))
    x[:, 0] += 2 * (y == "b")
    return x, y


def test_the_row_is_set_aside_and_the_class_stays() -> None:
    source = without_single_rows(from_arrays(*labelled("z", "q")), tested=False)
    assert source.classes == ("a", "b", "q", "z")
    assert source.rows.tolist() == list(range(60))
    said = "set aside: 2 rows, the only ones for training of as many classes (q, z); each can be neither held out"
    assert source.notes[-1].startswith(said)
    assert "count as wrong" not in source.notes[-1]
    assert "collect more rows of such classes, or merge" in source.notes[-1]
    many = without_single_rows(from_arrays(*labelled(*map(str, range(20)))), tested=True).notes[-1]
    assert "20 rows" in many
    assert "(0, 1, 10, 11, 12, 13, …)" in many
    assert "their test rows count as wrong" in many


def test_nothing_is_done_where_no_class_has_a_single_row() -> None:
    for y in (labelled()[1], np.arange(60.0) / 7):
        source = from_arrays(labelled()[0], y)
        assert without_single_rows(source, tested=True) is source


def test_too_little_left_is_refused() -> None:
    x, y = labelled()
    with refused("arrays, y", "b", rule="fewer than two classes"):
        without_single_rows(from_arrays(x, ["a"] * 59 + ["b"]), tested=False)
    with refused("arrays, y", rule="less than half of the rows"):
        without_single_rows(from_arrays(x, [*y[:20], *[f"name {i}" for i in range(40)]]), tested=False)


def test_fit_of_arrays_goes_on_and_its_test_rows_count_as_wrong() -> None:
    x, y = labelled("z")
    result = sk.fit(x, y, method="erm", **QUICK)
    assert result.classes == ("a", "b", "z")
    assert result.train_count == [24, 24, 0]
    assert result.metrics.overall.n == 12
    assert sum("set aside: 1 row" in note for note in result.notes) == 1
    test = (x[[0, 1, 60]], y[[0, 1, 60]])
    result = sk.fit(x, y, test=test, method="erm", **QUICK)
    assert result.metrics.groups["z"].n == 1
    assert result.metrics.groups["z"].value == 0
    assert any("its test rows count as wrong" in note for note in result.notes)


def test_rows_that_a_column_names_for_testing_are_not_counted(tmp_path: Path) -> None:
    x, y = labelled("z", "z", "z", "q")
    frame = pd.DataFrame(x, columns=list("uvw")).assign(y=y, part=np.where(np.arange(64) % 4 == 1, "test", "train"))
    frame.loc[60:63, "part"] = ["train", "test", "test", "test"]
    result = sk.fit(frame, target="y", split="part", method="erm", **QUICK)
    of_class = dict(zip(result.classes, result.train_count, strict=True))
    assert (of_class["z"], of_class["q"]) == (0, 0)
    assert (result.metrics.groups["z"].n, result.metrics.groups["q"].n) == (2, 1), "q is tested as before"
    assert any("of the class z;" in note for note in result.notes)


def test_corrections_come_first(tmp_path: Path) -> None:
    x, y = labelled("z", "q")
    pd.DataFrame({"row": [60], "corrected": ["b"]}).to_csv(tmp_path / "right.csv", index=False)
    result = sk.fit(x, y, labels=tmp_path / "right.csv", test=None, method="erm", **QUICK)
    assert result.train_count == [30, 31, 0, 0]


def test_a_reference_set_and_corruption_need_no_row_of_it() -> None:
    source = without_single_rows(from_arrays(*labelled("z")), tested=False)
    rows, apart = reference_rows(source, source.rows, 0.1, 0)
    assert source.y[apart].bincount(minlength=3).tolist() == [2, 2, 0]
    training = source.dataset(rows, source.encode(rows))
    assert len(corrupt(training, noise="a->b:0.2")[0]) == len(rows)
    x, y = labelled("z")
    trusted = (x[:4], y[:4])
    assert sk.fit(x, y, reference=trusted, method="l2rw", **QUICK).metrics.overall.n == 12


@pytest.mark.parametrize("verb", ["estimate", "fit", "compare --methods erm,cb-ce,resampling --seeds 1"])
def test_on_the_command_line(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labelled("z")
    pd.DataFrame(x, columns=list("uvw")).assign(y=y).to_csv(tmp_path / "tail.csv", index=False)
    verb, *more = verb.split()
    out = [] if verb == "estimate" else ["--out", tmp_path / "run"]
    given = [verb, tmp_path / "tail.csv", "--target", "y", "--epochs", "2", *more, *out]
    status, _, said = run(capsys, *given)
    assert status in (0, None)
    assert said.count("set aside: 1 row, the only one for training of the class z; it can be neither held out") == 1


def test_noise_brings_no_class_back_that_was_set_aside(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(60.0), "y": ["only", *["a", "b"] * 29, "a"]})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    config = read(None, {"source": str(tmp_path / "rows.csv"), "target": "y", "noise": "uniform:0.5", "test": "none"})
    train = open_data(config).train
    assert len(train) == 59
    assert train.target.counts(train.y)[train.classes.index("only")] == 0
