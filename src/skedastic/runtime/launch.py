"""The processes of one training on one machine, one a device: what `torchrun --nproc-per-node N` does, and no more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import IO

from skedastic.errors import UserError
from skedastic.runtime.signals import ENDING

LOOKS = 0.05  # seconds from one look at the processes to the next
NOTICE = 2.0  # seconds that the others have to notice that one has failed, and to say what they know
GRACE = 10.0  # seconds that the others have to save what there is, and to end, once one has failed
SHOWN = 2000  # characters of what a process said that failed
RANK, WORLD_SIZE, RESTARTS = "RANK", "WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT"  # as torchrun names them


def is_launched() -> bool:
    """Return whether this process is one of several that train together."""
    return count() > 1


def is_first() -> bool:
    """Return whether this process is the one that speaks and writes."""
    return int(os.environ.get(RANK, "0")) == 0


def count() -> int:
    """Return how many processes train together, as torchrun or `launched` tells."""
    return int(os.environ.get(WORLD_SIZE, "1"))


def is_restarted() -> bool:
    """Return whether torchrun has started the processes again after one had failed."""
    return int(os.environ.get(RESTARTS, "0")) > 0


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
        **os.environ,
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
        for rank in range(processes):
            own = {**common, RANK: str(rank), "LOCAL_RANK": str(rank)}
            where: dict[str, int | IO[bytes]] = {}
            if rank:
                where = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": said[rank - 1]}
            running.append(subprocess.Popen([sys.executable, "-m", "skedastic", *arguments], env=own, **where))  # type: ignore[call-overload]
        failed = _first_to_fail(running)
        if failed is not None:
            running[0].wait()
        status, first = (running[i].returncode for i in (failed or 0, 0))
        if came or failed is None or (first == status and status > 0):  # the first has said why
            return _status(first)
        words = _last_words(said[failed - 1]) if failed else "the first, which speaks for all"
    rule = f"process {failed + 1} of {processes} ended with status {_status(status)} ({words}), and the others with it"
    way = "go on with --resume, where checkpoints are kept"
    raise UserError(f"{rule}; {way}", setting="devices", value=processes, given=f"--devices {processes}")


def _first_to_fail(running: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all have ended, or one failed and the others had time to end; return which failed first."""
    failed, told, until = None, False, 0.0
    while any(process.poll() is None for process in running):
        if failed is None:
            failed = next((i for i, process in enumerate(running) if process.poll() not in (None, 0)), None)
            until = time.monotonic() + NOTICE
        elif not told and time.monotonic() > until:
            _tell_to_end(running)
            told, until = True, time.monotonic() + GRACE
        elif time.monotonic() > until:
            _end(running)
        time.sleep(LOOKS)
    return failed


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
    """Hand on signals that tell this process to end, but Ctrl-C, which reaches all by itself; lend those that came."""
    came = list[int]()

    def hand_on(number: int, frame: FrameType | None) -> None:
        came.append(number)
        for process in running:
            if process.poll() is None and number != signal.SIGINT:
                process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in ENDING}
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
