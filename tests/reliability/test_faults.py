"""A full disk, a folder that can't be written or is removed, two fits at once: nothing that was there is lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import skedastic as sk
from skedastic.cli import console
from skedastic.errors import UserError
from skedastic.runs.folder import written, written_file
from skedastic.runs.unfinished import alone, kept_until_whole, resumable
from skedastic.settings.config import Config
from skedastic.training.tensor_files import read_texts
from tests.support.faults import CONTEXT, OUTPUT, command_line, status_of
from tests.support.refusals import refused

FIT = ["fit", "rows.csv", "--target", "y", "--method", "erm", "--epochs", "3", "--out", "run"]
FIT += [f"--set={each}" for each in ("checkpoint_every=0", "train.device=cpu", "model.width=8", "estimate.folds=2")]
RESUME = ["fit", "--resume", "run"]
NOBODY = 65534
pytestmark = pytest.mark.slow


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


def files_of_at_most(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def nobody() -> None:
    """Give up the rights of root, to whom every folder is open."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def at_epoch(act: Callable[[], object], stage: str, epoch: int) -> None:
    """Do something in this process when an epoch of a stage is done."""
    usual = console.Shown.__call__

    def shown(self: console.Shown, part: str, done: int, steps: int) -> None:
        usual(self, part, done, steps)
        if (part, done) == (stage, epoch):
            act()

    console.Shown.__call__ = shown  # type: ignore[method-assign]


def remove_checkpoints() -> None:
    shutil.rmtree("run.unfinished")


def wait_to_be_killed() -> None:
    Path("waiting").touch()
    signal.pause()


def test_on_a_full_disk_training_goes_on_and_what_was_kept_is_gone_on_with(here: Path) -> None:
    assert status_of(command_line, FIT, here, partial(files_of_at_most, 12_000)) == 2
    lines = printed(here)
    assert any("can't be written" in line and "training goes on" in line for line in lines), lines
    assert lines[-1].startswith("error: --out 'run': writing it failed (File too large"), lines
    assert sorted(path.name for path in here.iterdir()) == ["rows.csv", "run.unfinished"]
    assert not list(here.rglob("*.part"))
    assert status_of(command_line, RESUME, here) == 0, printed(here)
    assert sorted(path.name for path in here.iterdir()) == ["rows.csv", "run"]


def test_a_folder_that_can_not_be_written_is_refused_before_anything_is_trained(here: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # the folder of the tests is closed to other users
        folder = Path(name) / "here"
        shutil.copytree(here, folder)
        Path(name).chmod(0o755)
        folder.chmod(0o555)
        try:
            assert status_of(command_line, FIT, folder, nobody) == 2
            assert printed(folder)[-1].startswith("error: --out 'run': can't be written (Permission denied)")
            assert [path.name for path in folder.iterdir()] == ["rows.csv"]
        finally:
            folder.chmod(0o755)


def test_a_folder_of_checkpoints_that_is_removed_is_made_again(here: Path) -> None:
    assert status_of(command_line, FIT, here, partial(at_epoch, remove_checkpoints, "train", 1)) == 0, printed(here)
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
    with refused(
        "--resume", str(run), rule=f"or replace it with the interrupted one beside it: --resume {run} --force"
    ):
        resumable(run)
    (kept / "config.toml").write_text("seed = 1")
    assert resumable(run, force=True) == kept / "config.toml"
    shutil.rmtree(kept)
    for force in (False, True):
        with refused("--resume", str(run), rule=f"whole already; show its figures with: skedastic show {run}"):
            resumable(run, force=force)


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


def test_the_second_of_two_fits_is_refused_until_the_first_is_killed(here: Path) -> None:
    first = CONTEXT.Process(target=command_line, args=(FIT, here, partial(at_epoch, wait_to_be_killed, "train", 2)))
    first.start()
    while not (here / "waiting").exists():
        assert first.is_alive(), printed(here)
        first.join(0.05)
    kept = {path: path.read_bytes() for path in here.rglob("*.safetensors")}
    for line in (FIT, [*FIT, "--force"], RESUME):
        assert status_of(command_line, line, here) == 2
        assert f"another fit is writing this run (process {first.pid} on " in printed(here)[-1]
    assert {path: path.read_bytes() for path in here.rglob("*.safetensors")} == kept
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    assert status_of(command_line, FIT, here) == 2
    assert "this run was interrupted" in printed(here)[-1]
    assert status_of(command_line, RESUME, here) == 0, printed(here)
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
