"""Files of others: whatever is planted in them, nothing runs, nothing blocks, and one line says what is wrong."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from skedastic.cli import main
from tests.reliability import bombs, hostile_code, hostile_paths
from tests.reliability.planted import CANARY, Hostile, World, frame
from tests.support.command_line import run

HOSTILE = [*hostile_code.HOSTILE, *hostile_paths.HOSTILE, *bombs.HOSTILE]
LONGEST = 120  # seconds, after which a file that blocks ends the test


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, of a network for columns."""
    folder = tmp_path_factory.mktemp("honest")
    frame().to_csv(folder / "d.csv", index=False)
    quick = ("--method", "erm", "--model", "mlp", "--epochs", "1", "--set", "estimate.kind=none")
    main(["fit", str(folder / "d.csv"), "--target", "label", *quick, "--out", str(folder / "run")])
    return folder / "run"


@pytest.fixture
def world(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The working directory, where nothing may block for ever."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SKEDASTIC_ALLOW", raising=False)
    before = signal.signal(signal.SIGALRM, _blocked)
    signal.alarm(LONGEST)
    yield World(tmp_path, honest)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _blocked(*_: object) -> None:
    raise TimeoutError("it blocks")


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_nothing_runs_and_one_line_says_why(hostile: Hostile, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    if "hf:" in hostile.what:
        pytest.importorskip("transformers")
    arguments = hostile.plant(world)
    status, out, err = run(capsys, *arguments)
    assert status == 2, out + err
    line = err.splitlines()[-1]
    assert line.startswith("error: ")
    assert hostile.says in line
    assert "Traceback" not in out + err
    assert not (world.here / CANARY).exists()
    assert not (world.here / "new").exists()
