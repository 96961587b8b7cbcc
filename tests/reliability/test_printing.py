"""Where what is printed can't be written the work is done all the same, and the exit status tells."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skedastic.runs.integrity import examined
from tests.support.faults import OUTPUT, command_line, status_of
from tests.support.paths import SOURCE

FIT = ["fit", "rows.csv", "--target", "y", "--method", "erm", "--epochs", "2", "--out", "run"]
FIT += [f"--set={each}" for each in ("train.device=cpu", "model.width=8", "estimate.folds=2")]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices are those of POSIX")


def reader_gone(number: int) -> None:
    """Make a stream a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, number)


def full(number: int) -> None:
    """Make a stream a file on a full disk."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), number)


class Both:
    """Does something to both streams."""

    def __init__(self, act: Callable[[int], None], numbers: tuple[int, ...]) -> None:
        self.act, self.numbers = act, numbers

    def __call__(self) -> None:
        for number in self.numbers:
            self.act(number)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    y = np.arange(60) % 3
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)) + y[:, None], columns=["a", "b", "c"])
    rows.assign(y=np.array(list("pqr"))[y]).to_csv(folder / "rows.csv", index=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(1,), (2,), (1, 2)], ids=["out", "err", "both"])
@pytest.mark.parametrize(("act", "status"), [(reader_gone, 141), (full, 4)])
def test_a_fit_goes_on_and_is_saved(
    act: Callable[[int], None], status: int, numbers: tuple[int, ...], here: Path
) -> None:
    assert status_of(command_line, FIT, here, Both(act, numbers)) == status
    (run,) = examined(here / "run")
    assert run.is_sound, run.findings
    assert [path.name for path in sorted(here.iterdir())] == ["rows.csv", "run"]
    said = (here.parent / OUTPUT).read_text()
    assert ("can't be written (No space left on device); what was asked for is done" in said) == (
        act is full and 2 not in numbers
    )
    assert "Traceback" not in said


@pytest.mark.parametrize(("act", "status"), [(reader_gone, 141), (full, 4)])
def test_a_short_verb_ends_quietly(act: Callable[[int], None], status: int, here: Path) -> None:
    assert status_of(command_line, ["methods"], here, Both(act, (1,))) == status
    assert "Traceback" not in (here.parent / OUTPUT).read_text()


def test_the_status_of_an_error_goes_before(here: Path) -> None:
    assert status_of(command_line, ["show", "nothing"], here, Both(full, (1, 2))) == 2


@pytest.mark.slow
def test_a_real_pipe_to_head_ends_quietly(here: Path) -> None:
    script = f"{sys.executable} -m skedastic methods --json | head -n 1; echo status ${{PIPESTATUS[0]}}"
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(["bash", "-c", script], cwd=here, env=env, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["{", "status 141"]
    assert done.stderr == ""
    script = f"{sys.executable} -m skedastic methods >&-"
    closed = subprocess.run(["bash", "-c", script], cwd=here, env=env, capture_output=True)
    assert (closed.returncode, closed.stderr) == (0, b"")
