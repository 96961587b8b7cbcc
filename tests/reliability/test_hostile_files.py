"""Files of others: whatever is planted in them, nothing runs, nothing blocks, and one line says what is wrong."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import skedastic as sk
from skedastic.cli import main
from skedastic.data import open_source
from skedastic.models import prefixes
from skedastic.runtime.limits import limits
from skedastic.settings.trust import OF_PACKAGES, OWN
from tests.reliability import bombs, hostile_code, hostile_paths
from tests.reliability.planted import CANARY, Hostile, World, fit, frame
from tests.support.command_line import run
from tests.support.paths import SOURCE
from tests.support.refusals import refused

HOSTILE = [*hostile_code.HOSTILE, *hostile_paths.HOSTILE, *bombs.HOSTILE]
LONGEST = 120  # seconds, after which a file that blocks ends the test
MOST = 48 * 2**20  # bytes of Python's and NumPy's that a bomb may take; the least of them would take 80 MB
ADDRESS_SPACE = 4_000_000  # KiB of a real process


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch, where a run says that its network is empty
@pytest.mark.parametrize("verb", ["predict", "show"])
def test_nothing_runs_whatever_any_field_of_a_run_says(
    verb: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.write("evil.py", hostile_code.OWN_CODE)
    world.table()
    folder, ended = world.run(), set()
    arguments = {"predict": ("predict", "run", "d.csv", "--out", "p.csv", "--force"), "show": ("show", "run")}[verb]
    for file, text in hostile_code.fields(folder):
        whole = file.read_bytes()
        file.write_text(text, "utf-8")
        status, out, err = run(capsys, *arguments)
        assert status == 0 or (status == 2 and err.splitlines()[-1].startswith("error: ")), (file, text, out + err)
        ended.add(status)
        file.write_bytes(whole)
    assert ended == {0, 2}
    assert not (world.here / CANARY).exists()


def test_code_in_cells_is_text(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code = ["evil:make", f"__import__('os').system('touch {CANARY}')", f"=cmd|'/C touch {CANARY}'!A0", "{{7*7}}"] * 15
    world.table(cell=code, text=[f"{c} some more words" for c in reversed(code)])
    quick = ("--method", "erm", "--model", "mlp", "--epochs", "1", "--set", "estimate.kind=none")
    status, out, err = run(capsys, *fit("d.csv", "--target", "label", *quick))
    assert status == 0, out + err
    assert not (world.here / CANARY).exists()


@pytest.mark.parametrize("way", [("--model", "evil.py:make"), ("--trust", "run"), ("--trust", "./run/")])
def test_code_runs_where_it_is_typed_or_the_run_trusted_and_is_shown(
    way: tuple[str, str], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.write("evil.py", hostile_code.OWN_CODE)
    world.table()
    quick = ("--method", "erm", "--epochs", "1", "--set", "estimate.kind=none")
    line = ("fit", "d.csv", "--target", "label", "--model", "evil.py:make", *quick, "--out", "run")
    status, out, err = run(capsys, *line)
    assert status == 0, out + err
    (world.here / CANARY).unlink()
    assert run(capsys, "show", "run")[0] == 0
    assert not (world.here / CANARY).exists()
    status, out, err = run(capsys, "predict", "run", "d.csv", "--out", "p.csv", *way)
    assert status == 0, out + err
    assert (world.here / CANARY).exists()
    assert ("is trusted, and this is run: the function 'make' of the file" in err) == (way[0] == "--trust")
    with refused("run, config.toml, model.name", "evil.py:make"):
        sk.load("run")
    shown = (world.here / "run" / "README.md").read_text("utf-8")
    assert "skedastic predict run --model evil.py:make" in shown
    assert len(sk.load("run", "evil.py:make").predict(frame())) == len(sk.load("run", trust=True).predict(frame())) > 0
    with refused("run, model", "other.py:make"):
        sk.load("run", "other.py:make")


def test_a_configuration_of_ones_own_is_like_typing_and_shows_what_is_run(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.write("evil.py", hostile_code.OWN_CODE)
    world.write("own.toml", 'source = "d.csv"\ntarget = "label"\nmodel = "evil.py:make"\n')
    world.table()
    quick = ("--method", "erm", "--epochs", "1", "--set", "estimate.kind=none", "--out", "run")
    status, out, err = run(capsys, "fit", "--config", "own.toml", *quick)
    assert status == 0, out + err
    assert "own.toml names code, which is run: the function 'make' of the file" in err


def test_paths_that_are_trusted_may_lead_anywhere(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    hostile_paths.table_of_images(world, str(world.here / world.image("outside.png")))
    with sk.allowing(trust_paths=True):
        assert len(open_source("data/t.csv", target="label", image="file").features) == hostile_paths.ROWS
    hostile_paths.folder_elsewhere(world, f"{world.images('pets', 8)}/cat/9.png")
    quick = ("--method", "erm", "--model", "mlp", "--epochs", "1", "--set", "estimate.kind=none")
    status, out, err = run(capsys, *fit("pets", *quick, "--trust-paths"))
    assert status == 0, out + err
    assert "followed: 1 link to folders (bird)" in out + err
    assert limits() == sk.Limits()


def test_a_frame_in_python_is_ones_own_and_a_device_is_none_of_its_files(world: World) -> None:
    path = str(world.here / world.image("anywhere/1.png"))
    rows = frame(file=[path] * 60)
    assert len(open_source(rows, target="label", image="file").features) == 60
    rows.loc[40, "file"] = world.link("zero.png", "/dev/zero")
    with refused("frame, row 40, column 'file'", "zero.png", rule="device"):
        open_source(rows, target="label", image="file")


def test_prefixes_that_make_models_of_packages_are_known() -> None:
    assert {*OF_PACKAGES, OWN} == set(prefixes())


def test_a_limit_is_raised_for_one_command_alone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.images("pets", 8)
    quick = ("--method", "erm", "--model", "mlp", "--epochs", "1", "--set", "estimate.kind=none")
    status, _, err = run(capsys, *fit("pets", *quick, "--allow", "pixels=63"))
    assert (status, "--allow pixels=64" in err) == (2, True)
    assert run(capsys, *fit("pets", *quick, "--allow", "pixels=64"))[0] == 0
    assert limits() == sk.Limits()
    for wrong, says in (("pixel=9", "did you mean 'pixels'"), ("pixels=many", "NAME=NUMBER"), ("cell=0", "10000")):
        status, _, err = run(capsys, *fit("pets", "--allow", wrong))
        assert (status, says in err) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("bomb", [h for h in bombs.HOSTILE if h.section == "bomb"], ids=str)
def test_a_bomb_is_stopped_while_it_is_read(bomb: Hostile, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = bomb.plant(world)
    tracemalloc.start()
    try:
        assert run(capsys, *arguments)[0] == 2
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "allowed", "says"),
    [
        (bombs.five_gigabytes, "1e9", "unpacks"),
        (bombs.five_gigabytes, "1e12", "memory"),
        (bombs.four_gigabytes, "1e9", "unpacks"),
        (hostile_paths.zeros_for_ever, "1e9", "device"),
    ],
    ids=["Parquet", "Parquet, whatever it takes", "idx", "a device"],
)
def test_a_real_process_ends_with_one_line_and_within_its_memory(
    plant: Callable[[World], Sequence[object]], allowed: str, says: str, world: World
) -> None:
    arguments = [str(a) for a in plant(world)]
    ours = {"PYTHONPATH": str(SOURCE), "SKEDASTIC_ALLOW": f"unpacked={allowed}", "OMP_NUM_THREADS": "1"}
    within = f"ulimit -v {ADDRESS_SPACE}; exec {sys.executable} -m skedastic {shlex.join(arguments)}"
    ended = subprocess.run(
        ["sh", "-c", within], env={**os.environ, **ours}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert says in ended.stderr.splitlines()[-1]
