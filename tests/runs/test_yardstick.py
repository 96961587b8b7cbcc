"""Boosted trees are a row of every comparison whose task and columns suit them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import skedastic as sk
from skedastic.settings.reading import read
from tests.support.command_line import run

NOTE = "trees was added as a yardstick; a comparison with --without-trees (yardstick=false) has none."


@pytest.fixture
def config(tmp_path: Path) -> sk.Config:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 4))
    frame = pd.DataFrame(x, columns=list("abcd")).assign(y=np.where(x[:, 0] * x[:, 1] > 0, "odd", "even"))
    frame.assign(number=x[:, 0] + x[:, 1] ** 2, code=np.arange(240) % 24).to_csv(tmp_path / "t.csv", index=False)
    return sk.Config(
        source=str(tmp_path / "t.csv"),
        target="y",
        ignore=("number", "code"),
        methods=("erm", "har"),
        seeds=2,
        model={"name": "mlp", "width": 8, "depth": 1},
        train=sk.TrainingConfig(epochs=2, batch_size=32, device="cpu"),
    )


def test_the_row_is_that_of_trees_on_the_same_splits(config: sk.Config, tmp_path: Path) -> None:
    comparison = sk.compare(config)
    assert comparison.methods == ("erm", "trees", "har"), "the last is still held against the first"
    assert comparison.config.notes == (NOTE,)
    named, without = sk.compare(replace(config, methods=("trees",))), sk.compare(replace(config, yardstick=False))
    assert named.methods == ("trees",)
    assert without.methods == ("erm", "har")
    assert named.config.notes == without.config.notes == ()
    assert comparison.values["trees"] == named.values["trees"]
    assert {name: comparison.values[name] for name in without.methods} == without.values
    assert comparison.focus == without.focus
    comparison.save(tmp_path / "run")
    assert NOTE in (tmp_path / "run" / "report.html").read_text()
    again = sk.compare(read(str(tmp_path / "run" / "config.toml"), {}))
    assert (again.methods, again.values, again.config.notes) == (
        comparison.methods,
        comparison.values,
        comparison.config.notes,
    )


def test_it_stands_after_a_single_method_and_counts_as_named_with_settings(config: sk.Config) -> None:
    assert sk.compare(replace(config, methods=("erm",), seeds=1)).methods == ("erm", "trees")
    assert sk.compare(replace(config, methods=("trees(leaves=4)", "erm"), seeds=1)).methods == (
        "trees(leaves=4)",
        "erm",
    )


def test_numbers_have_it_and_many_classes_and_images_have_not(config: sk.Config) -> None:
    numbers = replace(config, target="number", ignore=("y", "code"), task="regression", methods=("erm",), seeds=1)
    assert sk.compare(numbers).methods == ("erm", "trees")
    many = replace(config, target="code", ignore=("y", "number"), task="classification", methods=("erm",), seeds=1)
    images = replace(config, source="digits", target=None, ignore=(), methods=("erm",), seeds=1, limit=100)
    for other in (many, images):
        comparison = sk.compare(other)
        assert (comparison.methods, comparison.config.notes) == (("erm",), ())


def test_on_the_command_line(config: sk.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["compare", config.source, "--target", "y", "--methods", "erm", "--seeds", "1", "--epochs", "1"]
    status, out, said = run(capsys, *given, "--out", tmp_path / "with", "--jobs", "1")
    assert status in (0, None)
    assert f"note: {NOTE}" in said
    assert "trees − erm" in out
    status, out, said = run(capsys, *given, "--out", tmp_path / "without", "--jobs", "1", "--without-trees")
    assert status in (0, None)
    assert "yardstick" not in said
    assert "trees" not in out
