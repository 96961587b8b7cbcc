"""Every command of docs/guide/examples.md, on a few rows of the same data."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from skedastic.cli import main
from skedastic.settings.presets import settings as settings_of
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "guide" / "examples.md").read_text("utf-8").replace("\\\n", " ")
COMMANDS = re.findall(r"^skedastic .+$", PAGE, re.MULTILINE)
SMALL = {
    "compare": ["--limit", "300", "--epochs", "2", "--seeds", "1", "--jobs", "1", "--out", "run"],
    "estimate": ["--limit", "300", "--epochs", "1", "--json"],
}
ROWS = 600


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, verb, *rest = shlex.split(command)
    project = tmp_path / "project"
    project.mkdir()
    files = list(rest)
    for settings in [word for word in rest if word.endswith(".toml")]:
        (project / settings).parent.mkdir(parents=True)
        shutil.copy(ROOT / settings, project / settings)
        files += [tomllib.loads((ROOT / settings).read_text("utf-8"))[name] for name in ("source", "test")]
    for word in files:
        if word.startswith("../shared/"):
            if not (ROOT / word).is_file():
                pytest.skip(f"{word} is not there")
            small_copy(ROOT / word, project / word)
        elif word.startswith("/") and not Path(word).is_file():
            pytest.skip(f"{word} is not there: apt-get install dataset-fashion-mnist")
    monkeypatch.chdir(project)
    main([verb, *rest, *SMALL[verb]])
    if verb == "estimate":
        figures = json.loads(capsys.readouterr().out)
        assert sum(figures["count"]) == 300
        if "--annotators" in rest:
            assert all(0 <= noise <= 1 for noise in figures["measured_noise"])
        if "--truth" in rest and figures["learned"]:
            assert 0 < figures["suspects"]["wrong"] < 300
            assert 0 <= figures["suspects"]["first"] <= 1
    else:
        methods = json.loads((project / "run" / "compare.json").read_text("utf-8"))["methods"]
        preset = settings_of(rest[rest.index("--preset") + 1]) if "--preset" in rest else {}
        asked = rest[rest.index("--methods") + 1].split(",") if "--methods" in rest else preset["methods"]
        assert [name for name in methods if name in asked or name != "trees"] == asked  # beside the yardstick


def small_copy(source: Path, copy: Path) -> None:
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        table = pq.read_table(source)
        rows = np.random.default_rng(0).permutation(len(table))[:ROWS]
        pq.write_table(table.take(np.sort(rows)), copy)
