"""Runs that are killed between any two changes of files: none is lost, and none ends with other weights."""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skedastic.methods.erm import ERM
from skedastic.training import Checkpoints, train
from skedastic.training.tensor_files import write_tensors
from tests.support.faults import COMPILES, OUTPUT, KilledAt, command_line, status_of
from tests.support.training import QUICK, dataset, make_net

SETTINGS = "a = 1\n"
EPOCHS = QUICK.epochs
NAMES = {"1-train.safetensors", "1-train.safetensors.before"}
TINY = [f"--set={each}" for each in ("checkpoint_every=0", "train.device=cpu", "model.width=8", "estimate.folds=2")]
LINE = ["rows.csv", "--target", "y", "--epochs", "2", "--out", "run", *TINY]
COMPARED = ["--methods", "erm,har", "--seeds", "2", "--without-trees", "--jobs", "1"]
METHODS = ("erm", "har", "elr", "mw-net", "co-teaching", "auto", "har-auto", "absgd")
EVERY = 3  # of the points of a fit; another third of them for each method
KILLED = -signal.SIGKILL
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not COMPILES, reason="the layer of system calls needs Linux and cc")]


def trained(k: int, folder: Path) -> None:
    """Train in `folder`/kept, and write the weights to `folder`/weights; note each epoch of which all is written."""
    KilledAt(k, folder / "kept", folder / "count")()

    def note(stage: str, done: int, epochs: int) -> None:
        with open(folder / "done", "ab") as file:
            file.write(b".")

    kept = Checkpoints(folder / "kept", 0, SETTINGS)
    result = train(ERM(), dataset(), make_net, QUICK, checkpoints=kept, progress=note)
    write_tensors(result.state.state_dict(), folder / "weights")


def number(file: Path) -> int:
    return int(file.read_text()) if file.exists() else 0


def length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def test_training_goes_on_after_every_kill_and_no_epoch_is_trained_twice(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    assert status_of(trained, 0, whole) == 0
    weights, changes = (whole / "weights").read_bytes(), number(whole / "count")
    assert changes > 11 * EPOCHS, "a file, its bytes in two halves, two syncs and three names for each"
    for k in range(1, changes + 1):
        shutil.rmtree(killed, ignore_errors=True)
        killed.mkdir()
        assert status_of(trained, k, killed) == KILLED
        done = length(killed / "done")
        assert status_of(trained, 0, killed) == 0
        again = length(killed / "done") - done
        assert again <= EPOCHS - done, f"kill {k}: {done} epochs were written, and {again} trained afterwards"
        assert (killed / "weights").read_bytes() == weights, f"kill {k}"
        assert {path.name for path in (killed / "kept" / "checkpoints").iterdir()} == NAMES, f"kill {k}"


class Killed:
    """A command that is killed at changes of files, gone on with, and held against the same one that was not.

    Parameters
    ----------
    line : list of str
        The command line, whose first word is the verb.
    folder : Path
        An empty folder to do this in.

    Attributes
    ----------
    points : int
        The changes of files of the whole command.
    found : Counter
        How many kills left what: the checkpoint of a stage, one that was being written, nothing, a whole run.
    """

    def __init__(self, line: list[str], folder: Path) -> None:
        self.line, self.whole, self.killed = line, folder / "whole" / "here", folder / "killed" / "here"
        self.found = Counter[str]()
        y = np.arange(60) % 3
        rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)) + y[:, None], columns=["a", "b", "c"])
        for here in (self.whole, self.killed):
            here.mkdir(parents=True)
            rows.assign(y=np.array(list("pqr"))[y]).to_csv(here / "rows.csv", index=False)
        assert self._run(self.line, self.whole) == 0, (self.whole.parent / OUTPUT).read_text()
        self.points = number(self.whole.parent / "count")
        assert self.points > 100

    def at(self, k: int) -> None:
        """Kill it at its k-th change, and assert that what it ends with is the same."""
        assert self._run(self.line, self.killed, k) == KILLED, f"{k} of {self.points}"
        self.found[self._left()] += 1
        assert self._gone_on_with() == 0, f"{k}: {(self.killed.parent / OUTPUT).read_text()}"
        for name, content in figures(self.whole / "run").items():
            assert figures(self.killed / "run")[name] == content, f"{k}: {name}"
        for path in self.killed.iterdir():
            if path.name != "rows.csv":
                shutil.rmtree(path)

    def _run(self, line: list[str], folder: Path, k: int = 0) -> int:
        return status_of(command_line, line, folder, KilledAt(k, folder, folder.parent / "count"))

    def _left(self) -> str:
        """Return in words what a kill has left."""
        if is_whole(self.killed / "run"):
            return "a whole run"
        kept = [path for path in self.killed.glob("run.unfinished/**/checkpoints/*") if path.is_file()]
        if any(path.suffix not in (".safetensors", ".before") for path in kept):
            return "a checkpoint under way"
        files = [path for path in kept if path.suffix == ".safetensors"]
        last = max(files, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
        return "nothing yet" if last is None else f"stage {last.stem}"

    def _gone_on_with(self) -> int:
        """Run what a user would: nothing where the run is whole, `--resume`, or the command once more."""
        if is_whole(self.killed / "run"):
            return 0
        if (self.killed / "run.unfinished" / "config.toml").exists():
            verb = self.line[0]
            return self._run([verb, "--resume", "run", *["--jobs", "1"] * (verb == "compare")], self.killed)
        assert not list(self.killed.rglob("*.safetensors")), "nothing was kept yet"
        return self._run(self.line, self.killed)


def is_whole(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("state.json", "compare.json"))


def figures(folder: Path) -> dict[str, object]:
    """Return what must be equal of two runs or two comparisons: all but the seconds."""
    if not (folder / "compare.json").exists():
        names = ("config.toml", "model.safetensors", "history.jsonl", "metrics.json", "predictions.parquet")
        return {name: (folder / name).read_bytes() for name in names}
    compared = json.loads((folder / "compare.json").read_text())
    seeds = [json.loads(line) for line in (folder / "seeds.jsonl").read_text().splitlines()]
    for timed in (*compared["methods"].values(), *seeds):
        timed.pop("seconds")
    return {"config.toml": (folder / "config.toml").read_bytes(), "compare.json": compared, "seeds.jsonl": seeds}


@pytest.mark.parametrize("line", [["fit", "--method", "har"], ["compare", *COMPARED]], ids=["fit", "compare"])
def test_a_command_is_gone_on_with_after_a_kill(line: list[str], tmp_path: Path) -> None:
    command = Killed([*line, *LINE], tmp_path)
    for k in range(5, command.points + 1, command.points // 6):
        command.at(k)


def tortured(line: list[str], first: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kill a command at a third of its changes, and print how many kills left what."""
    command = Killed(line, folder)
    kills = range(first, command.points + 1, EVERY)
    for k in kills:
        command.at(k)
    with capsys.disabled():
        left = ", ".join(f"{count} {what}" for what, count in command.found.most_common())
        print(f"\n{' '.join(line[:3])}: {len(kills)} kills at {command.points} changes, 0 lost, 0 differing ({left})")


@pytest.mark.torture
@pytest.mark.parametrize("method", METHODS)
def test_a_fit_is_gone_on_with_wherever_it_was_killed(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = ["--set=reference=0.2"] if method == "mw-net" else []
    tortured(["fit", "--method", method, *reference, *LINE], 1 + METHODS.index(method) % EVERY, tmp_path, capsys)


@pytest.mark.torture
@pytest.mark.parametrize("first", range(1, EVERY + 1))
def test_a_comparison_is_gone_on_with_wherever_it_was_killed(
    first: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tortured(["compare", *COMPARED, *LINE], first, tmp_path, capsys)
