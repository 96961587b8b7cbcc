"""The processes of a comparison: an interrupt or a killed process ends them all, and leaves nothing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from skedastic.runtime.processes import interrupts_put_off, mapped
from skedastic.runtime.signals import ENDING
from tests.support.paths import SOURCE
from tests.support.refusals import refused
from tests.support.signals import with_usual_signals


def sleep_or_die(seconds):
    if seconds > 300:
        os._exit(1)
    time.sleep(seconds)


@pytest.mark.slow
def test_the_death_of_a_process_ends_the_others() -> None:
    start = time.monotonic()
    with refused("jobs", 2, rule="a process died"), mapped(sleep_or_die, [300, 1000, 0], 2) as outcomes:
        list(outcomes)
    assert time.monotonic() - start < 250, "nobody waited for the one that sleeps"
    assert not multiprocessing.active_children()


@contextmanager
def comparing(folder):
    """Lend `skedastic compare` in a session of its own, once its two processes have started."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = ["compare", "digits", "--epochs", "100000", "--seeds", "2", "--jobs", "2", "--out", "both"]
    process = subprocess.Popen(
        [sys.executable, "-m", "skedastic", *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=with_usual_signals,
    )
    try:
        deadline = time.monotonic() + 200  # a busy machine takes a while to import torch three times
        while len(workers(process.pid)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        if process.poll() is not None or not workers(process.pid):
            pytest.fail(f"no process has started its work: {process.communicate()[1] if process.poll() else ''}")
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()  # closes its pipes, so that a failure here is no other test's warning


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_everything_at_once_and_leaves_nothing(tmp_path: Path, end: signal.Signals) -> None:
    with comparing(tmp_path) as process:
        os.killpg(process.pid, end)  # as a terminal or a scheduler does: everyone gets it
        out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + end
    assert out == ""
    assert err.strip().splitlines()[-1] == "error: interrupted; nothing was written"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
    assert not workers(process.pid)


def test_an_interrupt_while_processes_start_counts_once_they_have_started() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    print_blocked = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    started = []

    def start() -> None:
        with interrupts_put_off():
            os.kill(os.getpid(), signal.SIGINT)
            started.append(subprocess.check_output([sys.executable, "-c", print_blocked], text=True))

    with pytest.raises(KeyboardInterrupt):
        start()
    assert started == ["True\n"], "what was started goes on until this process ends it"
    assert [signal.getsignal(number) for number in ENDING] == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.slow
def test_a_killed_process_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with comparing(tmp_path) as process:
        os.kill(workers(process.pid)[0], signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    *before, last = err.splitlines()  # the source and its rows, before anything is trained
    assert last.startswith("error: jobs=2: a process died, ")
    assert len(before) == 3, err
    assert list(tmp_path.iterdir()) == []
    assert not workers(process.pid)


def workers(session):
    """Return the ids of the processes that a session has started to share its work."""
    ours = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and any("popen_loky" in word for word in process.cmdline()):
                ours.append(process.pid)
    return ours
