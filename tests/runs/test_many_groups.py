"""A run of more groups than its report lists: tables have all, and the folder is still a run's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import skedastic as sk
from skedastic.report.listed import MOST_LISTED
from skedastic.runs.folder import GROUP_COLUMNS, GROUPS, is_ours
from skedastic.runs.group_columns import COLUMN, GroupColumns, with_columns
from skedastic.runs.integrity import examined
from tests.support.command_line import run
from tests.support.refusals import refused

G = MOST_LISTED + 20
JSON = ("state.json", "group_stats.json", "metrics.json")
LISTS: dict[str, list[Any]] = {
    "names": [f"s{g}" for g in range(G)],
    "counts": [g if g % 3 else None for g in range(G)],
    "figures": [g / 7 for g in range(G)],
    "nothing": [None] * G,
    "scores": [{"name": f"s{g}", "n": g, "accuracy": None if g == 5 else 1 / (g + 1)} for g in range(G)],
}


@pytest.fixture(scope="module")
def result() -> sk.Result:
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=3 * G)})
    y, site = (x["a"] > 0).astype(int), np.array([f"s{i % G}" for i in range(3 * G)])
    return sk.fit(x, y, method="har", groups=site, test=0.3, train=sk.TrainingConfig(epochs=1))


@pytest.fixture
def folder(result: sk.Result, tmp_path: Path) -> Path:
    result.save(tmp_path / "run")
    return tmp_path / "run"


def test_a_run_of_many_groups_has_all_of_them_in_a_table(result: sk.Result, folder: Path) -> None:
    assert pq.read_table(folder / GROUPS).num_rows == G
    assert f"<code>{GROUPS}</code> has all" in (folder / "report.html").read_text("utf-8")
    assert f"more groups, in {GROUPS}" in (folder / "README.md").read_text("utf-8")
    assert is_ours(folder)
    result.save(folder, force=True)
    assert sk.load(folder).groups == result.groups


def test_its_json_names_no_group_but_the_worst_and_a_run_that_is_loaded_has_the_same_figures(
    result: sk.Result, folder: Path
) -> None:
    for name in JSON:
        assert (folder / name).read_text("utf-8").count('"s1') <= 1, name
    loaded = sk.load(folder)
    assert loaded.metrics == result.metrics
    assert loaded.findings == result.findings or loaded.findings.to_dict() == result.findings.to_dict()
    assert loaded.group_stats.to_dict() == result.group_stats.to_dict()
    assert loaded.train_count == result.train_count
    loaded.save(folder.with_name("again"))
    for path in folder.iterdir():
        if path.is_file() and path.name != "README.md":  # which names the folder
            assert path.read_bytes() == (folder.with_name("again") / path.name).read_bytes(), path.name


def test_a_run_whose_json_has_the_lists_is_read_as_before(result: sk.Result, folder: Path) -> None:
    for name in JSON:
        values = with_columns(json.loads((folder / name).read_text("utf-8")), folder)
        (folder / name).write_text(json.dumps(values | {"format": 5} if name == "state.json" else values), "utf-8")
    (folder / GROUP_COLUMNS).unlink()
    assert sk.load(folder).metrics == result.metrics


@pytest.mark.parametrize("damage", [Path.unlink, lambda p: p.write_bytes(p.read_bytes()[:500])])
def test_a_damaged_file_of_columns_is_named(damage: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(folder / GROUP_COLUMNS)
    with refused(f"{folder}, state.json, {GROUP_COLUMNS}", None, rule="restore it, or fit again"):
        sk.load(folder)
    status, _, err = run(capsys, "show", folder)
    assert (status, GROUP_COLUMNS in err) == (2, True)
    assert not examined(folder)[0].is_sound


def test_a_column_that_is_not_there_and_a_pipe_are_refused(folder: Path) -> None:
    state = (folder / "metrics.json").read_text("utf-8")
    (folder / "metrics.json").write_text(state.replace('"metrics/groups"', '"other"'), "utf-8")
    with refused(f"{folder}, metrics.json, {GROUP_COLUMNS}", None, rule="damaged"):
        sk.load(folder)
    (folder / GROUP_COLUMNS).unlink()
    os.mkfifo(folder / GROUP_COLUMNS)
    with refused(str(folder / GROUP_COLUMNS), None, rule="pipe"):
        sk.load(folder)


def test_lists_come_back_as_they_were(tmp_path: Path) -> None:
    columns = GroupColumns(G)
    named = columns.without({"a": LISTS, "short": [1, 2]}, "here")
    columns.write(tmp_path)
    assert named["short"] == [1, 2]
    assert named["a"]["figures"] == {COLUMN: "here/a/figures"}
    back = with_columns(json.loads(json.dumps(named)), tmp_path)
    assert repr(back) == repr({"a": LISTS, "short": [1, 2]})


@pytest.mark.parametrize("values", [[1, 2.0] * (G // 2), [float("nan")] * G, [{"a": 1}, {"b": 1}] * (G // 2)])
def test_lists_that_a_column_would_change_stay(values: list[Any], tmp_path: Path) -> None:
    columns = GroupColumns(G)
    assert columns.without({"a": values}, "here")["a"] is values
    assert GroupColumns(MOST_LISTED).without(LISTS, "few groups") is LISTS
    columns.write(tmp_path)
    assert not list(tmp_path.iterdir())
