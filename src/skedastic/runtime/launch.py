"""The processes of one training on one machine, one a device: what `torchrun --nproc-per-node N` does, and no more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import IO, Any

from skedastic.errors import UserError
from skedastic.runtime.signals import ENDING

LOOKS = 0.05  # seconds from one look at the processes to the next
NOTICE = 2.0  # seconds that the others have to notice that one has failed, and to say what they know
GRACE = 10.0  # seconds that the others have to save what there is, and to end, once one has failed
SHOWN = 2000  # characters of what a process said that failed
RANK, WORLD_SIZE, RESTARTS = "RANK", "WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT"  # as torchrun names them
INTERRUPTED = [128 + number for number in ENDING]  # exit statuses
PARENT = "SKEDASTIC_LAUNCHED_BY"  # the process that started this one


def is_launched() -> bool:
    """Return whether this process is one of several that train together."""
    return count() > 1


def is_first() -> bool:
    """Return whether this process is the one that speaks and writes."""
    return count() == 1 or _number(RANK, "0") == 0


def count() -> int:
    """Return how many processes train together, as torchrun or `launched` tells."""
    return _number(WORLD_SIZE, "1")


def is_restarted() -> bool:
    """Return whether torchrun has started the processes again after one had failed."""
    return _number(RESTARTS, "0") > 0


def _number(variable: str, usual: str) -> int:
    """Return the number that an environment variable has. Raises UserError where it is none."""
    text = os.environ.get(variable, usual)
    try:
        return int(text)
    except ValueError:
        rule = "must be a whole number, as torchrun sets it; unset it to train in one process"
        raise UserError(rule, setting=variable, value=text) from None


def end_with_parent() -> None:
    """Where `launched` started this process, tell it to end once that one was killed."""
    parent = os.environ.get(PARENT)
    if parent is not None and is_launched():
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(10 * LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def launched(arguments: Sequence[str], processes: int) -> int:
    """Run the command line in several processes, of which the first speaks; return its exit status.

    A signal that tells this process to end is handed on to all. Where one of them fails, the others are ended.

    Parameters
    ----------
    arguments : sequence of str
        The words of the command line.
    processes : int
        How many, at least 2.

    Raises
    ------
    UserError
        A process other than the first failed by itself.
    """
    common = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC")},
        PARENT: str(os.getpid()),
        WORLD_SIZE: str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    common.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // processes)))
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(processes - 1)]
        running = list[subprocess.Popen[bytes]]()
        stack.callback(_end, running)
        came = stack.enter_context(_handed_on(running))
        command = [sys.executable, "-m", "skedastic", *arguments]
        for rank in range(processes):
            own = {**common, RANK: str(rank), "LOCAL_RANK": str(rank)}
            silent: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            where = {**silent, "stderr": said[rank - 1]} if rank else {}
            running.append(subprocess.Popen(command, env=own, process_group=0, **where))
        failed = _first_to_fail(running, came)
        if failed is None:
            return 0
        status, first = (_status(running[i].returncode) for i in (failed, 0))
        if came or status in INTERRUPTED or (first == status and running[0].returncode > 0):  # the first has said why
            return first if came else status
        words = _last_words(said[failed - 1]) if failed else "the first, which speaks for all"
    rule = f"process {failed + 1} of {processes} ended with status {status} ({words}), and the others with it"
    raise UserError(rule, setting="devices", value=processes, given=f"--devices {processes}")


def _first_to_fail(running: Sequence[subprocess.Popen[bytes]], came: Sequence[int]) -> int | None:
    """Wait until all have ended, or one failed and the others had time to end; return which failed first."""
    failed, told, until = None, False, 0.0
    while any(process.poll() is None for process in running):
        if failed is None:
            failed = _failed(running)
            until = time.monotonic() + (NOTICE if failed != 0 else 0.0)  # the first has spoken for all
            if came or failed == 0:  # those who were told to end already are not told twice
                told, until = True, until + (GRACE if came else 0.0)
        elif not told and time.monotonic() > until:
            _tell_to_end(running)
            told, until = True, time.monotonic() + GRACE
        elif time.monotonic() > until:
            _end(running)
        time.sleep(LOOKS)
    return _failed(running) if failed is None else failed


def _failed(running: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Return which process failed; of several one that was killed, since the others end for want of it."""
    failed = [i for i, process in enumerate(running) if process.poll() not in (None, 0)]
    return min(failed, key=lambda i: running[i].returncode > 0, default=None)


def _tell_to_end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Tell processes to end, so that the first saves what there is, and says how to go on."""
    for process in running:
        if process.poll() is None:
            process.terminate()


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        if process.poll() is None:
            process.kill()
    for process in running:
        process.wait()


@contextmanager
def _handed_on(running: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Hand on signals that tell this process to end, and lend those that came. They are in a group of their own."""
    came = list[int]()

    def hand_on(number: int, frame: FrameType | None) -> None:
        came.append(number)
        for process in running:
            if process.poll() is None:
                process.send_signal(number)

    told = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, hand_on) for number in told}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _status(code: int) -> int:
    """Return the exit status of a process as a shell knows it."""
    return code if code >= 0 else 128 - code


def _last_words(file: IO[bytes]) -> str:
    file.seek(0)
    text = file.read().decode("utf-8", "replace").strip()
    return " ".join(text[-SHOWN:].splitlines()[-1:]) or "it said nothing"


def free_port() -> int:
    """Return a port of this machine that no process listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
