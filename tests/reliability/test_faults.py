"""A full disk, a folder that can't be written or is removed, two fits at once: nothing that was there is lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import skedastic as sk
from skedastic.errors import UserError
from skedastic.runs.folder import holds_nothing, is_ours, written, written_file
from skedastic.runs.unfinished import alone, kept_until_whole, resumable
from skedastic.settings.config import Config
from skedastic.training.tensor_files import read_texts
from tests.support.faults import CONTEXT, OUTPUT, at_epoch, command_line, status_of
from tests.support.refusals import refused

FIT = ["fit", "rows.csv", "--target", "y", "--method", "erm", "--epochs", "3", "--out", "run"]
FIT += [f"--set={each}" for each in ("checkpoint_every=0", "train.device=cpu", "model.width=8", "estimate.folds=2")]
RESUME = ["fit", "--resume", "run"]
COMPARE = ["compare", *FIT[1:4], "--methods", "erm", "--seeds", "2", "--jobs", "1", "--without-trees", *FIT[6:]]
NOBODY = 65534
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Verb:
    """A command line, the one that goes on with it, and a part of its work, of which some are done."""

    line: list[str]
    resume: list[str]
    part: str
    done: int


FITS = Verb(FIT, RESUME, "train", 2)
COMPARES = Verb(COMPARE, ["compare", "--resume", "run", "--jobs", "1"], "1 method × 2 seeds", 1)
both_verbs = pytest.mark.parametrize("verb", [FITS, COMPARES], ids=["fit", "compare"])


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a table, below one that takes what is printed."""
    folder = tmp_path / "here"
    folder.mkdir()
    y = np.arange(60) % 3
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)) + y[:, None], columns=["a", "b", "c"])
    rows.assign(y=np.array(list("pqr"))[y]).to_csv(folder / "rows.csv", index=False)
    return folder


def printed(folder: Path) -> list[str]:
    """Return the lines that the last command line has printed."""
    return (folder.parent / OUTPUT).read_text("utf-8").splitlines()


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files_of_at_most(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def nobody() -> None:
    """Give up the rights of root, to whom every folder is open."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def remove_checkpoints() -> None:
    shutil.rmtree("run.unfinished")


def wait_to_be_killed() -> None:
    Path("waiting").touch()
    signal.pause()


@both_verbs
def test_on_a_full_disk_training_goes_on_and_what_was_kept_is_gone_on_with(verb: Verb, here: Path) -> None:
    assert status_of(command_line, verb.line, here, partial(files_of_at_most, 12_000)) == 2
    lines = printed(here)
    assert any("can't be written" in line and "training goes on" in line for line in lines), lines
    assert lines[-1].startswith("error: --out 'run': writing it failed (File too large"), lines
    assert sorted(path.name for path in here.iterdir()) == ["rows.csv", "run.unfinished"]
    assert not list(here.rglob("*.part"))
    assert status_of(command_line, verb.resume, here) == 0, printed(here)
    assert sorted(path.name for path in here.iterdir()) == ["rows.csv", "run"]


@both_verbs
def test_a_folder_that_can_not_be_written_is_refused_before_anything_is_trained(verb: Verb, here: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # the folder of the tests is closed to other users
        folder = Path(name) / "here"
        shutil.copytree(here, folder)
        Path(name).chmod(0o755)
        folder.chmod(0o555)
        try:
            assert status_of(command_line, verb.line, folder, nobody) == 2
            assert printed(folder)[-1].startswith("error: --out 'run': can't be written (Permission denied)")
            assert [path.name for path in folder.iterdir()] == ["rows.csv"]
        finally:
            folder.chmod(0o755)


@both_verbs
def test_a_folder_of_checkpoints_that_is_removed_is_made_again(verb: Verb, here: Path) -> None:
    removed = partial(at_epoch, remove_checkpoints, verb.part, 1)
    assert status_of(command_line, verb.line, here, removed) == 0, printed(here)
    assert sorted(path.name for path in here.iterdir()) == ["rows.csv", "run"]


@pytest.mark.parametrize("damage", [b"", None], ids=["empty", "removed"])
def test_a_run_whose_settings_are_damaged_is_gone_on_with(damage: bytes | None, here: Path) -> None:
    ended = partial(at_epoch, partial(signal.raise_signal, signal.SIGINT), "train", 1)
    assert status_of(command_line, FIT, here, ended) == 130
    config = here / "run.unfinished" / "config.toml"
    whole = config.read_bytes()
    config.unlink() if damage is None else config.write_bytes(damage)
    assert status_of(command_line, RESUME, here) == 0, printed(here)
    assert sum("was damaged, and is written again from the checkpoints" in line for line in printed(here)) == 1
    assert (here / "run" / "config.toml").read_bytes() == whole


def test_what_can_not_be_gone_on_with_is_said(tmp_path: Path) -> None:
    run, kept = tmp_path / "run", tmp_path / "run.unfinished"
    with refused("--resume", str(run), rule="no interrupted run is there"):
        resumable(run)
    kept.mkdir()
    (kept / "config.toml").touch()
    with refused("--resume", str(run), rule=f"its settings are lost ('{kept / 'config.toml'}' is empty); fit it again"):
        resumable(run)
    run.mkdir()
    (run / "state.json").touch()
    with refused("--resume", str(run), rule=f"the interrupted one beside it: skedastic fit --resume {run} --force"):
        resumable(run)
    (kept / "config.toml").write_text("seed = 1")
    assert resumable(run, force=True) == kept / "config.toml"
    shutil.rmtree(kept)
    for force in (False, True):
        with refused("--resume", str(run), rule=f"whole already; show its figures with: skedastic show {run}"):
            resumable(run, force=force)


def test_what_a_kill_left_amid_the_first_checkpoint_is_nothing_and_is_ours(tmp_path: Path) -> None:
    kept = tmp_path / "run.unfinished"
    (kept / "checkpoints").mkdir(parents=True)
    (kept / "checkpoints" / ".tmpAbCdEf").write_bytes(b"half")
    (kept / "config.toml.part").touch()
    assert holds_nothing(kept)
    (kept / "config.toml").touch()
    assert is_ours(kept)
    with kept_until_whole(tmp_path / "run", force=True):
        assert not (kept / "checkpoints").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_fit_saves_it_at_the_next_step(number: signal.Signals, here: Path) -> None:
    line = [*FIT, "--set=checkpoint_every=inf", "--set=train.batch_size=16"]
    ended = partial(at_epoch, partial(signal.raise_signal, number), "train", 1)
    assert status_of(command_line, line, here, ended) == 128 + number, printed(here)
    assert printed(here)[-1] == "error: interrupted; go on with: skedastic fit --resume run"
    facts = json.loads(read_texts(here / "run.unfinished" / "checkpoints" / "1-train.safetensors")["facts"])
    assert (facts["epoch"], facts["batches"]) == (1, 1)
    if number != signal.SIGTERM:
        return  # all three end alike
    assert status_of(command_line, RESUME, here) == 0, printed(here)
    assert status_of(command_line, [*line, "--out", "whole"], here) == 0, printed(here)
    for name in ("model.safetensors", "history.jsonl"):
        assert (here / "run" / name).read_bytes() == (here / "whole" / name).read_bytes()


@both_verbs
def test_the_second_of_two_is_refused_until_the_first_is_killed(verb: Verb, here: Path) -> None:
    waits = partial(at_epoch, wait_to_be_killed, verb.part, verb.done)
    first = CONTEXT.Process(target=command_line, args=(verb.line, here, waits))
    first.start()
    while not (here / "waiting").exists():
        assert first.is_alive(), printed(here)
        first.join(0.05)
    kept = files_in(here / "run.unfinished")
    for line in (verb.line, [*verb.line, "--force"], verb.resume):
        assert status_of(command_line, line, here) == 2
        assert f"another fit is writing this run (process {first.pid} on " in printed(here)[-1]
    assert files_in(here / "run.unfinished") == kept
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    assert status_of(command_line, verb.line, here) == 2
    assert "this run was interrupted" in printed(here)[-1]
    assert status_of(command_line, verb.resume, here) == 0, printed(here)
    assert sorted(path.name for path in here.iterdir()) == ["rows.csv", "run", "waiting"]


def test_one_process_does_not_write_a_run_twice_at_a_time_either(tmp_path: Path) -> None:
    with kept_until_whole(tmp_path / "runs" / "run"):
        for force in (False, True):
            with refused("--out", rule="another fit is writing this run (this process)"):
                kept_until_whole(tmp_path / "runs" / "run", force=force).__enter__()
    with alone(tmp_path / "kept"), refused("checkpoints", rule="another fit is writing there (this process)"):
        alone(tmp_path / "kept").__enter__()
    with alone(tmp_path / "kept"), refused("checkpoints", rule="another comparison is writing there (this process)"):
        sk.compare(Config(source="rows.csv"), checkpoints=tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_another_has_written_meanwhile_stays(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with refused("--out", str(run), rule="it exists and is not empty"), written(run) as new:
        (new / "state.json").write_text("later")
        run.mkdir()
        (run / "state.json").write_text("first")
    assert (run / "state.json").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    with refused("--out", rule="it is there already"), written_file(tmp_path / "table.csv") as file:
        file.write_text("later")
        (tmp_path / "table.csv").write_text("first")
    assert (tmp_path / "table.csv").read_text() == "first"


def test_of_many_that_write_one_folder_at_once_one_does(tmp_path: Path) -> None:
    ready, done = threading.Barrier(8), list[str]()

    def write(name: str) -> None:
        with suppress(UserError):
            with written(tmp_path / "run") as new:
                (new / "state.json").write_text(name)
                ready.wait()
            done.append(name)

    threads = [threading.Thread(target=write, args=(str(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / "run" / "state.json").read_text()] == done
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
