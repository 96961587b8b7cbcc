"""`skedastic fit` in several processes: by --devices, by torchrun, interrupted, with a process killed, on two nodes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.support.signals import with_usual_signals

pytestmark = pytest.mark.slow
FIT = ("fit", "data.csv", "--target", "kind", "--method", "har", "--model", "mlp", "--set", "checkpoint_every=0")
SKEDASTIC = (sys.executable, "-m", "skedastic")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
TWO = ("--devices", "2")
EPOCHS = ("--epochs", "6")
ROUNDING = 1e-3  # of weights after 6 epochs in single precision
MANY = ("--set", "estimate.kind=none", "--method", "erm", "--epochs", "60")  # so that there is time to kill


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    y = np.arange(400) % 3
    x = generator.normal(size=(400, 4)) + 0.8 * np.eye(4)[y]
    return pd.DataFrame(x, columns=list("abcd")).assign(kind=np.array(["x", "y", "z"])[y])


@pytest.fixture
def folder(tmp_path, data) -> Path:
    data.to_csv(tmp_path / "data.csv", index=False)
    return tmp_path


def begun(folder: Path, command: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "SKEDASTIC_CACHE": str(folder / "cache"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=with_usual_signals,
        start_new_session=True,
    )


def said(folder: Path, *arguments: str, command: Sequence[str] = SKEDASTIC) -> tuple[int, str]:
    process = begun(folder, [*command, *arguments])
    text = process.communicate(timeout=240)[0]
    return process.returncode, text


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def check_alike(one: Path, other: Path, most: float = 0.0) -> None:
    """Assert that two runs end with the same weights; in as many processes to the bit."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for key in first:
        assert torch.allclose(first[key].double(), second[key].double(), rtol=0.0, atol=most), key


def wait_for_checkpoint(folder: Path, run: str, process: subprocess.Popen[str]) -> None:
    """Wait until a checkpoint of the model's own training is there."""
    for _ in range(1200):
        if list((folder / f"{run}.unfinished" / "checkpoints").glob("1-train*")):
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


def process_of(rank: int, run: str) -> int:
    """Return the id of the process of a rank that writes a run."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"skedastic" in words and run.encode() in words and f"RANK={rank}".encode() in variables:
                return int(entry.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.mark.parametrize("method", ["har", "absgd", "auto"])
def test_two_devices_train_what_one_does(method, folder) -> None:
    """The estimate is the same: each fold is trained by one process. The model differs by rounding alone."""
    for run, more in (("one", ()), ("two", TWO)):
        status, text = said(folder, *FIT, *EPOCHS, "--method", method, "--out", run, *more)
        assert status == 0, text
    check_alike(folder / "one", folder / "two", ROUNDING)
    one, two = (pd.read_parquet(folder / run / "suspects.parquet") for run in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, check_exact=False, atol=1e-6)
    assert not list(folder.glob("*.unfinished"))


def test_torchrun_does_the_same(folder) -> None:
    said(folder, *FIT, *EPOCHS, "--out", "one")
    torchrun = (*TORCHRUN, "--standalone", "--nproc-per-node", "2", "-m", "skedastic")
    status, text = said(folder, *FIT, *EPOCHS, "--out", "two", command=torchrun)
    assert status == 0, text
    assert text.count("Report:") == 1
    check_alike(folder / "one", folder / "two", ROUNDING)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_all_and_the_run_goes_on(killed, folder) -> None:
    said(folder, *FIT, *MANY, "--out", "whole", *TWO)
    process = begun(folder, [*SKEDASTIC, *FIT, *MANY, "--out", "parts", *TWO])
    wait_for_checkpoint(folder, "parts", process)
    os.kill(process_of(killed, "parts"), signal.SIGKILL)
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    assert f"process {killed + 1} of 2 ended with status 137" in text.splitlines()[-1]
    assert "Traceback" not in text
    status, text = said(folder, "fit", "--resume", "parts", *TWO)
    assert status == 0, text
    check_alike(folder / "whole", folder / "parts")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_how_to_go_on(number, folder) -> None:
    """It comes to the process that was started alone, as a scheduler sends it: no terminal tells the others."""
    process = begun(folder, [*SKEDASTIC, *FIT, *MANY, "--out", "parts", *TWO])
    wait_for_checkpoint(folder, "parts", process)
    process.send_signal(number)
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 128 + number
    assert text.splitlines()[-1] == "error: interrupted; go on with: skedastic fit --resume parts --devices 2"
    said(folder, *FIT, *MANY, "--out", "whole", *TWO)
    status, text = said(folder, "fit", "--resume", "parts", *TWO)
    assert status == 0, text
    check_alike(folder / "whole", folder / "parts")


def test_torchrun_starts_a_killed_process_again_and_goes_on(folder) -> None:
    said(folder, *FIT, *MANY, "--out", "whole", *TWO)
    torchrun = (*TORCHRUN, "--standalone", "--nproc-per-node", "2", "--max-restarts", "2", "-m", "skedastic")
    process = begun(folder, [*torchrun, *FIT, *MANY, "--out", "parts"])
    wait_for_checkpoint(folder, "parts", process)
    os.kill(process_of(1, "parts"), signal.SIGKILL)
    text = process.communicate(timeout=240)[0]
    assert process.returncode == 0, text
    check_alike(folder / "whole", folder / "parts")


@pytest.fixture
def nodes() -> Iterator[tuple[str, str]]:
    """Two network namespaces that see each other, as machines in one network do."""
    names = tuple(f"sk{os.getpid()}{end}" for end in "ab")
    made = [["ip", "netns", "add", name] for name in names]
    made += [["ip", "link", "add", "va", "netns", names[0], "type", "veth", "peer", "name", "vb", "netns", names[1]]]
    for name, link, address in zip(names, ("va", "vb"), ("10.77.0.1/24", "10.77.0.2/24"), strict=True):
        inside = ["ip", "netns", "exec", name, "ip"]
        made += [[*inside, "addr", "add", address, "dev", link]]
        made += [[*inside, "link", "set", each, "up"] for each in (link, "lo")]
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip")
    try:
        for command in made:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"can't make network namespaces here: {done.stderr.strip()}")
        yield names[0], names[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_two_nodes_train_together_and_survive_a_killed_process(nodes, folder) -> None:
    """Each node has an agent of torchrun; a killed process is started again on its node, and all go on."""
    said(folder, *FIT, *MANY, "--out", "whole", *TWO)
    running = []
    for number, (node, link) in enumerate(zip(nodes, ("va", "vb"), strict=True)):
        torchrun = (*TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3")
        meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "10.77.0.1:29400", "--rdzv-id", "test")
        hosts = ("--rdzv-conf", f"is_host={int(number == 0)}")  # torchrun does not know its own address in a namespace
        address = f"10.77.0.{number + 1}"
        command = ["ip", "netns", "exec", node, *torchrun, *meeting, *hosts, "--local-addr", address, "-m", "skedastic"]
        running.append(begun(folder, [*command, *FIT, *MANY, "--out", "parts"], GLOO_SOCKET_IFNAME=link))
    wait_for_checkpoint(folder, "parts", running[0])
    os.kill(process_of(1, "parts"), signal.SIGKILL)
    texts = [process.communicate(timeout=240)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], "\n".join(texts)
    check_alike(folder / "whole", folder / "parts")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((*FIT, "--devices", "2", "--budget", "1m"), "budget"),
        ((*FIT, "--devices", "2", "--set", "train.compile=true"), "train.compile"),
        (("fit", "absent.csv", "--target", "kind", "--devices", "2"), "absent.csv"),
        ((*FIT, "--devices", "0"), "--devices"),
        ((*FIT, "--devices", "2", "--epochs", "0"), "train.epochs"),
    ],
    ids=["budget", "compile", "absent", "none", "epochs"],
)
def test_bad_input_is_one_line_and_status_2(arguments, what, folder) -> None:
    status, text = said(folder, *arguments)
    errors = [line for line in text.splitlines() if line.startswith("error:")]
    assert (status, len(errors)) == (2, 1), text
    assert what in errors[0]
    assert "Traceback" not in text
    assert [path.name for path in folder.iterdir() if path.name != "cache"] == ["data.csv"]


def test_other_verbs_are_refused_in_several_processes(folder) -> None:
    process = begun(folder, [*SKEDASTIC, "estimate", "data.csv", "--target", "kind"], RANK="0", WORLD_SIZE="2")
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "only fit trains in several processes" in text


def is_running(number: int) -> bool:
    """Whether a process lives; one that nobody has waited for does not."""
    try:
        return " Z " not in Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False


def test_a_closed_terminal_is_ignored_under_nohup(folder) -> None:
    command = ["nohup", *SKEDASTIC, *FIT, *MANY, "--out", "parts", *TWO]
    process = begun(folder, command)
    wait_for_checkpoint(folder, "parts", process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_all_end_where_the_process_that_started_them_is_killed(folder) -> None:
    process = begun(folder, [*SKEDASTIC, *FIT, *MANY, "--epochs", "5000", "--out", "parts", *TWO])
    wait_for_checkpoint(folder, "parts", process)
    ranks = [process_of(rank, "parts") for rank in (0, 1)]
    process.kill()
    for _ in range(600):
        if not any(map(is_running, ranks)):
            break
        time.sleep(0.05)
    else:
        for rank in ranks:
            os.kill(rank, signal.SIGKILL)
        raise AssertionError("they train on")
    process.communicate()


def test_of_the_estimate_each_process_keeps_its_own_networks(folder) -> None:
    """A run that was interrupted later does not train them again."""
    process = begun(folder, [*SKEDASTIC, *FIT, "--epochs", "60", "--out", "parts", *TWO])
    wait_for_checkpoint(folder, "parts", process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    kept = {path.name.split(".")[0] for path in (folder / "parts.unfinished" / "checkpoints").iterdir()}
    assert {"estimate-1-1-train", "estimate-2-1-train"} <= kept
