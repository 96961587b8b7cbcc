"""Processes that are killed at their k-th change of files, by a real SIGKILL, and command lines in processes.

Changes are counted by a layer between the process and the system, `system_calls.c`.
"""

from __future__ import annotations

import atexit
import ctypes
import io
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from skedastic.cli import console, main
from skedastic.runtime.signals import ENDING

CONTEXT = multiprocessing.get_context("forkserver")  # which has torch loaded, and has never trained
CONTEXT.set_forkserver_preload(
    ["tests.support.faults", "tests.support.training", "skedastic.pipeline", "torch._dynamo"]
)
LAYER = Path(__file__).with_name("system_calls.c")
COMPILES = sys.platform == "linux" and shutil.which("cc") is not None  # whether there is a layer
OUTPUT = "output.txt"


def status_of(run: Callable[..., None], *arguments: Any) -> int:
    """Run a function in a process of its own; return its exit status, or less than 0 the signal that ended it."""
    _start_server()
    process = CONTEXT.Process(target=run, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def command_line(arguments: list[str], folder: Path, before: Callable[[], object] | None = None) -> None:
    """Run a command line in a folder; what it prints goes to the file `output.txt` in the folder above.

    Signals do what they do by default, also where whoever runs the tests ignores one, as nohup does.
    """
    for number in ENDING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.chdir(folder)
    output = os.open(folder.parent / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(fd, "wb"), line_buffering=True) for fd in (1, 2))
    if before is not None:
        before()
    main(arguments)


def at_epoch(act: Callable[[], object], stage: str, epoch: int) -> None:
    """Do something in this process when an epoch of a stage is done."""
    usual = console.Shown.__call__

    def shown(self: console.Shown, part: str, done: int, steps: int) -> None:
        usual(self, part, done, steps)
        if (part, done) == (stage, epoch):
            act()

    console.Shown.__call__ = shown  # type: ignore[method-assign]


class KilledAt:
    """Kills this process at its k-th change of files in a folder: before a system call, or amid a write.

    Parameters
    ----------
    k : int
        Counted from 1; with 0 nothing is killed.
    folder : Path
        Changes elsewhere do not count.
    count : Path
        The file that says at the end how many changes there were.
    """

    def __init__(self, k: int, folder: Path, count: Path) -> None:
        self.k, self.folder, self.count = k, folder, count

    def __call__(self) -> None:
        """Begin to count."""
        layer = ctypes.CDLL(None)  # what is preloaded is there by name
        layer.begin_to_count(str(self.folder).encode(), ctypes.c_long(self.k))
        Finalize(None, lambda: self.count.write_text(str(layer.points_so_far())), exitpriority=0)


@cache
def _layer() -> str:
    """Compile the layer between processes and the system, and return its file."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = f"{folder}/layer.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, LAYER, "-ldl"], check=True)
    return library


def _start_server() -> None:
    """Start the server that processes are forked from, with the layer where it can be compiled."""
    before = os.environ.get("LD_PRELOAD")
    if COMPILES:
        os.environ["LD_PRELOAD"] = _layer()
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("LD_PRELOAD", None)
        if before is not None:
            os.environ["LD_PRELOAD"] = before
