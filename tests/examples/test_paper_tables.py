"""A paper's table in pieces: what was stopped, or killed, goes on from where it was, and the table is the same."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

SETTINGS = """
source = "sklearn:digits"
limit = 900
[train]
epochs = 6
device = "cpu"
"""
ARGUMENTS = ("--presets", "har-table1", "--methods", "erm,har", "--seeds", "2")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark as a module; what it brings with it is forgotten afterwards."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("common", "resumable", "paper_tables"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("paper_tables")
    yield module
    for name in ("common", "resumable", "paper_tables"):
        sys.modules.pop(name, None)


def begin(tables, folder: Path, lines: str, monkeypatch, *more: str) -> list[dict[str, Any]]:
    """Run the command once; return the lines that there are."""
    (folder / "config.toml").write_text(SETTINGS)
    file = folder / lines
    command = ["paper_tables.py", "run", str(folder / "config.toml"), *ARGUMENTS, "--lines", str(file), *more]
    monkeypatch.setattr(sys, "argv", command)
    tables.main()
    return [json.loads(text) for text in file.read_text().splitlines()] if file.exists() else []


def outcomes(lines) -> dict[str, Any]:
    """Return what was measured, by run, without the times."""
    return {line["run"]: (line["metrics"], line["history"], line["strengths"]) for line in lines}


@pytest.mark.slow
def test_several_invocations_make_one_table(tables, tmp_path: Path, monkeypatch, capsys) -> None:
    whole = begin(tables, tmp_path, "whole.jsonl", monkeypatch)
    assert [(line["method"], line["seed"]) for line in whole] == [("har", 0), ("erm", 0), ("har", 1), ("erm", 1)]
    asked = iter(range(10**6))
    monkeypatch.setattr(tables.Until, "passed", property(lambda self: next(asked) % 12 == 11))
    parts: list[dict[str, Any]] = []
    for _ in range(30):
        before = len(parts)
        parts = begin(tables, tmp_path, "parts.jsonl", monkeypatch, "--gpu-minutes", "9")
        assert len(parts) >= before
        if len(parts) == len(whole):
            break
    assert outcomes(parts) == outcomes(whole)
    shown = capsys.readouterr().out
    assert " at epoch " in shown  # it was stopped in the middle
    assert not list((tmp_path / "parts.jsonl.unfinished").iterdir())
    begin(tables, tmp_path, "parts.jsonl", monkeypatch)
    assert len((tmp_path / "parts.jsonl").read_text().splitlines()) == len(whole)  # nothing is done twice


@pytest.mark.slow
def test_a_kill_loses_no_line_and_what_it_stopped_goes_on(tables, tmp_path: Path, monkeypatch) -> None:
    whole = begin(tables, tmp_path, "whole.jsonl", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])))
    file = tmp_path / "killed.jsonl"
    command = [
        sys.executable, str(ROOT / "benchmarks" / "paper_tables.py"), "run", str(tmp_path / "config.toml"), *ARGUMENTS,
        "--lines", str(file), "--jobs", "2",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (file.exists() and file.read_text().count("\n")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    had = file.read_text()
    assert 1 <= had.count("\n") < len(whole)
    file.write_text(had + '{"run": "har-table1-9-erm", "met')  # and what a kill within a line leaves
    assert outcomes(tables.Lines(file)) == outcomes(json.loads(text) for text in had.splitlines())
    monkeypatch.setattr(sys, "argv", command[1:-2])  # here, without processes
    tables.main()
    assert outcomes(tables.Lines(file)) == outcomes(whole)


def test_the_tables_first_methods_come_before_the_others(tables, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(SETTINGS)
    jobs = tables.jobs_of(["har-table1"], str(tmp_path / "config.toml"), {"seeds": 3})
    names = [(job[1].methods[0], job[1].seed) for job in jobs]
    assert {name for name, _ in names[:12]} == {"erm", "unif-code", "har-code", "har-auto"}
    assert [seed for _, seed in names[:12]] == [0] * 4 + [1] * 4 + [2] * 4
    runs = {tables.run_of(*job) for job in jobs}
    assert len(runs) == len(jobs)
    other = tables.jobs_of(["har-table1"], str(tmp_path / "config.toml"), {"seeds": 3, "train.epochs": 7})
    assert not runs & {tables.run_of(*job) for job in other}  # a run with other settings is another
