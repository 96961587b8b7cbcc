"""Saving is lossless: a run that is loaded and saved again has the same files, to the byte.

Only the folder's own name may differ, in `report.html` and `README.md`, which say how the run is used and repeated.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import skedastic as sk
from skedastic.runs.folder import CHECKPOINTS, CLUSTERS, ENCODER, RUN_FILES
from skedastic.runs.load import load_summary
from skedastic.runs.result import Result
from tests.support.refusals import refused

ONE = sk.TrainingConfig(epochs=1, batch_size=32, device="cpu")
FIRST, SECOND = "the-first-folder", "another-folder"  # names that occur nowhere else
WITH_THEIR_NAME = ("report.html", "README.md")


class Own(nn.Module):
    """A network of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x)


@dataclass(frozen=True)
class Case:
    """A fit."""

    fit: Callable[[], Result]
    model: Callable[[], nn.Module] | None = None  # of the user's
    kept: str | None = None  # the folder with its checkpoints
    holds: frozenset[str] = field(default=frozenset())  # files beyond those of every run


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    names = np.array(["low", "mid", "top"])[np.arange(90) % 3]
    words = np.array(["dull and slow", "fine as such", "great and quick"])[np.arange(90) % 3]
    numbers = pd.DataFrame({"x": rng.normal(size=90), "z": np.where(rng.random(90) < 0.1, np.nan, np.arange(90) % 7)})
    cities = rng.choice(["Ulm", "Bonn", "Köln"], 90)
    return numbers.assign(city=cities, said=words, price=3 * numbers["x"] + 100, label=names)


def from_file(target: str, **settings: Any) -> Result:
    table().to_csv("table.csv", index=False)
    return sk.fit("table.csv", target=target, train=ONE, **settings)


def from_arrays(**settings: Any) -> Result:
    rng = np.random.default_rng(0)
    return sk.fit(rng.normal(size=(90, 3)), np.arange(90) % 3, train=ONE, **settings)


def digits(**settings: Any) -> Result:
    return sk.fit("digits", limit=200, train=sk.TrainingConfig(epochs=15), test=0.2, model="convnet", **settings)


CASES = {
    "table": Case(lambda: from_file("label", ignore=["said", "price"], test=0.3, groups="city")),
    "regression": Case(lambda: from_file("price", ignore=["said", "label"], test=0.3, bins=3)),
    "texts": Case(
        lambda: from_file("label", ignore=["x", "z", "city", "price"], text=["said"], test=0.3),
        holds=frozenset({ENCODER}),
    ),
    "tokens": Case(
        lambda: from_file("label", ignore=["x", "z", "city", "price"], text=["said"], test=0.3, model="bilstm")
    ),
    "pictured issues with their truth": Case(lambda: digits(noise="uniform:0.2")),
    "clusters": Case(lambda: digits(groups="cluster:2"), holds=frozenset({CLUSTERS})),
    "checkpoints": Case(
        lambda: from_arrays(method="crt", test=0.3, checkpoints="kept"), kept="kept", holds=frozenset({CHECKPOINTS})
    ),
    "no test set": Case(lambda: from_arrays(method="unif")),
    "no estimate": Case(lambda: from_arrays(method="erm", estimate=sk.Estimation(kind="none"))),
    "own network": Case(lambda: from_arrays(model=Own, method="erm", test=0.3), model=Own),
    "a method with state": Case(lambda: from_arrays(method="elr", test=0.3)),
}


def files(folder: str) -> dict[str, bytes]:
    """Return the content of every file; the folder's name is left out where it may stand."""
    content = {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
    return content | {name: content[name].replace(folder.encode(), b"FOLDER") for name in WITH_THEIR_NAME}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    return CASES[request.param]


@pytest.mark.slow
def test_a_run_that_is_loaded_and_saved_again_has_the_same_files(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.fit().save(FIRST, checkpoints=case.kept)
    before = files(FIRST)
    assert {path.name for path in Path(FIRST).iterdir()} == set(RUN_FILES) | case.holds
    elsewhere = {"python": "of another machine"}
    monkeypatch.setattr("skedastic.runtime.environment.environment", lambda *_: elsewhere)
    monkeypatch.setattr("skedastic.pipeline.gather.environment", lambda *_: elsewhere)
    sk.load(FIRST, case.model).save(SECOND)
    after = files(SECOND)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == []
    shutil.rmtree(FIRST)
    sk.load(SECOND, case.model).save(SECOND, force=True)
    assert files(SECOND) == after


def test_the_issues_of_the_report_are_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digits(noise="uniform:0.2").save(FIRST)
    shown = load_summary(FIRST).shown_issues
    assert len(shown) == 24
    assert all(issue.image is not None and issue.truth is not None for issue in shown)
    sk.load(FIRST).save(SECOND)
    page = Path(SECOND, "report.html").read_text("utf-8")
    assert all(issue.image in page for issue in shown if issue.image)


def test_checkpoints_that_are_gone_are_not_lost_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    CASES["checkpoints"].fit().save(FIRST, checkpoints="kept")
    result = sk.load(FIRST)
    shutil.rmtree(FIRST)
    with refused("checkpoints", str(tmp_path / FIRST), rule="no longer there"):
        result.save(SECOND)
    assert not Path(SECOND).exists()
    result.save(SECOND, checkpoints="kept")
    assert any(Path(SECOND, CHECKPOINTS).iterdir())


def test_a_run_can_be_saved_over_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    CASES["checkpoints"].fit().save(FIRST, checkpoints="kept")
    before = files(FIRST)
    result = sk.load(FIRST)
    result.save(FIRST, force=True)
    result.save(FIRST, force=True)
    assert files(FIRST) == before
    assert len([name for name in before if name.startswith(CHECKPOINTS)]) == 2
