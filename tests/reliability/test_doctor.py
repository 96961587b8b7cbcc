"""`skedastic doctor`: each damaged file of a run is named, a resume goes on where it says, and nothing is changed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from skedastic.runs.folder import RUN_FILES
from skedastic.runtime.locks import locked
from skedastic.training.tensor_files import read_tensors, read_texts, write_tensors
from tests.reliability.planted import CANARY, OWN_CODE
from tests.support.command_line import refusal, run
from tests.support.faults import OUTPUT, at_epoch, command_line, status_of
from tests.support.refusals import check_refusal

TINY = [f"--set={each}" for each in ("checkpoint_every=0", "train.device=cpu", "model.width=8", "estimate.folds=2")]
FIT = ["fit", "rows.csv", "--target", "y", "--method", "erm", "--epochs", "3", *TINY]
COMPARE = ["compare", "rows.csv", "--target", "y", "--methods", "erm", "--without-trees", "--seeds", "2", "--jobs", "1"]
COMPARE += ["--epochs", "3", *TINY]
CHECKPOINT = "checkpoints/1-train.safetensors"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a run, a comparison, and one of each that was interrupted; nobody changes it."""
    folder = tmp_path_factory.mktemp("doctor") / "here"
    folder.mkdir()
    y = np.arange(60) % 3
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)) + y[:, None], columns=["a", "b", "c"])
    rows.assign(y=np.array(list("pqr"))[y]).to_csv(folder / "rows.csv", index=False)
    for line, name in ((FIT, "run"), (COMPARE, "compared")):
        assert status_of(command_line, [*line, "--out", name], folder) == 0, (folder.parent / OUTPUT).read_text()
    kill = partial(at_epoch, partial(signal.raise_signal, signal.SIGKILL))
    assert status_of(command_line, [*FIT, "--out", "a 'cut' run"], folder, partial(kill, "train", 2)) < 0
    assert status_of(command_line, [*COMPARE, "--out", "cut"], folder, partial(kill, "1 method × 2 seeds", 1)) < 0
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, as the working directory."""
    folder = shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(folder)
    return folder


def bytes_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def doctor(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    """Return the status of doctor, which changes no file, and what it says as JSON."""
    before = bytes_in(Path())
    status, out, err = run(capsys, "doctor", *words, "--json")
    assert bytes_in(Path()) == before
    assert err == ""
    found = json.loads(out)
    assert status == (0 if found["sound"] else 1)
    return status, found


def damaged(found: dict[str, Any]) -> list[str]:
    """Return the places of all that is damaged."""
    return [each["place"] for run in found["runs"] for each in run["findings"] if each["kind"] == "damaged"]


def said(found: dict[str, Any], place: str) -> str:
    """Return what was found of a place."""
    return next(each["said"] for run in found["runs"] for each in run["findings"] if each["place"] == place)


def test_whole_runs_are_sound(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = doctor(capsys, "run")
    assert (status, damaged(found), found["machine"]) == (0, [], None)
    assert said(found, "model.safetensors").endswith("tensors, finite, as they were written")
    assert "its weights fit the schema" in said(found, "the network")
    assert said(found, "versions").endswith("equal to the bit")
    assert found["runs"][0]["resume"] is None
    assert found["runs"][0]["written_by"]["torch"] == torch.__version__
    assert doctor(capsys, "compared")[0] == 0
    assert "model.safetensors" in run(capsys, "doctor", "run")[1]


def cut_short(file: Path) -> None:
    """Leave half of a file; of settings up to the middle of a word, since half of them may be settings too."""
    content = file.read_bytes()
    half = len(content) // 2
    file.write_bytes(content[: content.rfind(b"\n", 0, half) + 3 if file.suffix == ".toml" else half])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, Path.unlink) for name in RUN_FILES),
        *(
            (name, cut_short)
            for name in RUN_FILES
            if name not in ("history.jsonl", "README.md", "suspects_shown.jsonl")
        ),
        *((name, flipped) for name in ("model.safetensors", CHECKPOINT)),
        ("history.jsonl", lambda file: file.write_text("{")),
        ("README.md", lambda file: file.write_bytes(b"\xff")),
        ("metrics.json", a_pipe),
        ("metrics.json", lambda file: file.write_text("[" * 100_000)),
    ],
)
def test_each_damaged_file_of_a_run_is_named(
    name: str, damage: Callable[[Path], object], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(here / "run" / name)
    if name == "metrics.json" and (here / "run" / name).is_fifo():
        status, out, _ = run(capsys, "doctor", "run", "--json")
        assert (status, damaged(json.loads(out))) == (1, [name])
        return
    status, found = doctor(capsys, "run")
    assert (status, damaged(found)) == (1, [name])


@pytest.mark.parametrize("name", ["config.toml", "compare.json", "seeds.jsonl", "report.html"])
def test_each_damaged_file_of_a_comparison_is_named(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_short(here / "compared" / name)
    assert doctor(capsys, "compared")[0] == 1
    (here / "compared" / name).unlink()
    status, found = doctor(capsys, "compared")
    assert (status, damaged(found)) == (1, [name])


def test_weights_that_are_not_finite_or_do_not_fit_are_noticed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, config = here / "run" / "model.safetensors", here / "run" / "config.toml"
    tensors, _ = read_tensors(file)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    write_tensors({**tensors, name: torch.full_like(tensors[name], float("nan"))}, file)
    assert said(doctor(capsys, "run")[1], file.name) == f"{name} is not finite"
    write_tensors(tensors, file)
    config.write_text(config.read_text().replace("width = 8", "width = 9"))
    found = doctor(capsys, "run")[1]
    assert damaged(found) == ["the whole"]
    assert "model.safetensors" in said(found, "the whole")


def test_code_that_a_run_names_is_not_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "evil.py").write_text(OWN_CODE)
    for folder in ("run", "a 'cut' run.unfinished"):
        config = here / folder / "config.toml"
        config.write_text(config.read_text().replace('name = "tabular"', 'name = "evil.py:make"'))
        assert "evil.py:make" in config.read_text()
    status, found = doctor(capsys, "run")
    assert (status, damaged(found)) == (0, [])
    assert "which is not run here" in said(found, "the network")
    shutil.rmtree(here / "a 'cut' run.unfinished" / "checkpoints")  # else a resume writes the settings again from them
    resume = doctor(capsys, "a 'cut' run")[1]["runs"][0]["resume"]
    assert "evil" not in resume, "to paste it does not trust the run"
    error = refusal(capsys, *shlex.split(resume)[1:])
    assert "which the run names and you did not" in error.rule
    assert not (here / CANARY).exists()


def test_a_killed_run_goes_on_where_the_doctor_says_by_its_own_line(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = doctor(capsys, "a 'cut' run")
    assert (status, found["runs"][0]["what"]) == (0, "a run that is not whole")
    facts = json.loads(read_texts(here / f"a 'cut' run.unfinished/{CHECKPOINT}")["facts"])
    assert said(found, "resume") == f"it goes on in stage 1-train, after epoch {facts['epoch']} of 3"
    program, *words = shlex.split(found["runs"][0]["resume"])
    assert program == "skedastic"
    assert status_of(command_line, words, here) == 0
    assert doctor(capsys, "a 'cut' run")[1]["runs"][0]["what"] == "a run"


def test_damaged_checkpoints_are_named_and_the_one_before_takes_over(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = here / "a 'cut' run.unfinished"
    flipped(kept / CHECKPOINT)
    (kept / "config.toml").write_bytes(b"")
    (kept / "checkpoints" / ".tmpAbCdEf").write_bytes(b"half")
    status, found = doctor(capsys, "a 'cut' run")
    assert (status, damaged(found)) == (1, ["config.toml", CHECKPOINT])
    before = json.loads(read_texts(kept / f"{CHECKPOINT}.before")["facts"])
    assert said(found, "resume") == f"it goes on in stage 1-train, after epoch {before['epoch']} of 3"
    assert "has left" in said(found, "checkpoints/.tmpAbCdEf")
    assert found["runs"][0]["resume"] == shlex.join(["skedastic", "fit", "--resume", "a 'cut' run"])
    flipped(kept / f"{CHECKPOINT}.before")
    found = doctor(capsys, "a 'cut' run")[1]
    assert damaged(found) == ["config.toml", CHECKPOINT, f"{CHECKPOINT}.before", "resume"]
    assert found["runs"][0]["resume"] is None
    for file in kept.glob("checkpoints/*"):
        file.unlink()
    found = doctor(capsys, "a 'cut' run")[1]
    assert "start again with --force" in said(found, "config.toml")
    assert found["runs"][0]["resume"] is None


def test_a_run_that_is_being_written_is_left_to_its_process(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = here / "a 'cut' run.unfinished"
    with locked(kept):
        found = doctor(capsys, "a 'cut' run")[1]
    assert said(found, ".skedastic-lock") == "this process is writing it now"
    assert found["runs"][0]["resume"] is None


def test_of_a_killed_comparison_the_seeds_that_are_done_are_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = doctor(capsys, "cut")
    assert (status, said(found, "resume")) == (0, "1 of 2 seeds are done: 0")
    assert found["runs"][0]["resume"] == "skedastic compare --resume cut"
    cut_short(here / "cut.unfinished" / "seeds" / "0.json")
    status, found = doctor(capsys, "cut")
    assert (status, damaged(found), said(found, "resume")) == (1, ["seeds/0.json"], "0 of 2 seeds are done")


def test_of_a_folder_every_run_is_checked_and_the_machine(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "runs").mkdir()
    shutil.move(here / "compared", here / "runs" / "compared")
    status, found = doctor(capsys, ".")
    names = [each["folder"] for each in found["runs"]]
    assert sorted(names) == ["a 'cut' run", "cut", "run", str(Path("runs", "compared"))]
    assert found["machine"]["usable"] >= 1
    cut_short(here / "run" / "metrics.json")
    assert doctor(capsys, ".")[0] == 1
    (here / "run" / "empty").mkdir()
    status, out, _ = run(capsys, "doctor", "run/empty")
    assert (status, out.splitlines()[0]) == (0, "No run is in 'run/empty'.")
    monkeypatch.chdir(here / "run")
    assert doctor(capsys, ".")[1]["runs"][0]["folder"] == str(here / "run")
    monkeypatch.chdir(here / "cut.unfinished")
    assert doctor(capsys, ".")[1]["runs"][0]["folder"] == str(here / "cut")


def test_what_is_no_folder_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nowhere", "rows.csv"):
        check_refusal(refusal(capsys, "doctor", name, alone=True), "RUN", name)


def test_the_machine_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "doctor")
    assert status in (0, 1), "1 where a package is older than asked for"
    assert f"torch {torch.__version__}" in out
