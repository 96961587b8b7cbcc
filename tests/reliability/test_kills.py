"""Runs that are killed between any two changes of files: none is lost, and none ends with other weights."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skedastic.methods.erm import ERM
from skedastic.training import Checkpoints, train
from skedastic.training.tensor_files import write_tensors
from tests.support.faults import OUTPUT, KilledAt, command_line, status_of
from tests.support.training import QUICK, dataset, make_net

SETTINGS = "a = 1\n"
EPOCHS = QUICK.epochs
FIT = ["fit", "rows.csv", "--target", "y", "--epochs", "2", "--out", "run"]
FIT += [f"--set={each}" for each in ("checkpoint_every=0", "train.device=cpu", "model.width=8", "estimate.folds=2")]
KILLED = -signal.SIGKILL
pytestmark = pytest.mark.slow


def trained(k: int, folder: Path) -> None:
    """Train in `folder`/kept, and write the weights to `folder`/weights; note each epoch of which all is written."""
    KilledAt(k, folder / "kept", folder / "count")()

    def note(stage: str, done: int, epochs: int) -> None:
        with open(folder / "done", "ab") as file:
            file.write(b".")

    kept = Checkpoints(folder / "kept", 0, SETTINGS)
    result = train(ERM(), dataset(), make_net, QUICK, checkpoints=kept, progress=note)
    write_tensors(result.state.state_dict(), folder / "weights")


def length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def test_training_goes_on_after_every_kill_and_no_epoch_is_trained_twice(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    assert status_of(trained, 0, whole) == 0
    weights, changes = (whole / "weights").read_bytes(), length(whole / "count")
    assert changes > 6 * EPOCHS, "a file, two syncs and two names for each"
    for k in range(1, changes + 1):
        shutil.rmtree(killed, ignore_errors=True)
        killed.mkdir()
        assert status_of(trained, k, killed) == KILLED
        done = length(killed / "done")
        assert status_of(trained, 0, killed) == 0
        again = length(killed / "done") - done
        assert again <= EPOCHS - done, f"kill {k}: {done} epochs were written, and {again} trained afterwards"
        assert (killed / "weights").read_bytes() == weights, f"kill {k}"


def fit(arguments: list[str], folder: Path, k: int = 0) -> int:
    """Run the command line in a folder, killed at the k-th change; return its exit status."""
    (folder.parent / "count").unlink(missing_ok=True)
    return status_of(command_line, arguments, folder, KilledAt(k, folder, folder.parent / "count"))


def gone_on_with(line: list[str], folder: Path) -> int:
    """Run what a user would after a kill: nothing where the run is whole, `--resume`, or the command once more."""
    if (folder / "run" / "state.json").exists():
        return 0
    if (folder / "run.unfinished" / "config.toml").exists():
        return fit(["fit", "--resume", "run"], folder)
    assert not list(folder.rglob("*.safetensors")), "nothing was kept yet"
    return fit(line, folder)


def check_kills(tmp_path: Path, method: list[str], every: int) -> int:
    """Kill the fit of a method at every n-th change of files, go on, and compare runs; return the number of kills."""
    folders = [tmp_path / name / "here" for name in ("whole", "killed")]
    y = np.arange(60) % 3
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)) + y[:, None], columns=["a", "b", "c"])
    line = [*FIT, *method]
    for folder in folders:
        folder.mkdir(parents=True)
        rows.assign(y=np.array(list("pqr"))[y]).to_csv(folder / "rows.csv", index=False)
    whole, killed = folders
    assert fit(line, whole) == 0, (whole.parent / OUTPUT).read_text()
    changes, kills = length(whole.parent / "count"), range(1, length(whole.parent / "count") + 1, every)
    assert changes > 30
    for k in kills:
        assert fit(line, killed, k) == KILLED, f"{k} of {changes}"
        assert gone_on_with(line, killed) == 0, f"{k}: {(killed.parent / OUTPUT).read_text()}"
        for name in ("config.toml", "model.safetensors", "history.jsonl", "metrics.json", "predictions.parquet"):
            assert (killed / "run" / name).read_bytes() == (whole / "run" / name).read_bytes(), f"{k}: {name}"
        for path in killed.iterdir():
            if path.name != "rows.csv":
                shutil.rmtree(path)
    return len(kills)


def test_a_fit_is_gone_on_with_after_a_kill(tmp_path: Path) -> None:
    assert check_kills(tmp_path, ["--method", "har"], 23) > 3


@pytest.mark.torture
@pytest.mark.parametrize("method", ["erm", "har", "elr", "mw-net", "co-teaching", "auto", "har-auto", "absgd"])
def test_a_fit_is_gone_on_with_after_every_kill(method: str, tmp_path: Path) -> None:
    reference = ["--set=reference=0.2"] if method == "mw-net" else []
    assert check_kills(tmp_path, ["--method", method, *reference], 1) > 30
