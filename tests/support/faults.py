"""Processes that are killed at their k-th change of files, by a real SIGKILL, and command lines in processes."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from skedastic.cli import main
from skedastic.runtime.signals import ENDING
from skedastic.training import tensor_files

CONTEXT = multiprocessing.get_context("forkserver")  # which has torch loaded, and has never trained
CONTEXT.set_forkserver_preload(
    ["tests.support.faults", "tests.support.training", "skedastic.pipeline", "torch._dynamo"]
)
CHANGES = ("open", "mkdir", "replace", "rename", "unlink", "rmdir", "fsync", "truncate")  # functions of `os`
OUTPUT = "output.txt"


def status_of(run: Callable[..., None], *arguments: Any) -> int:
    """Run a function in a process of its own; return its exit status, or less than 0 the signal that ended it."""
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


class KilledAt:
    """Kills this process at its k-th change of files in a folder. A write is cut in two; all else is not done.

    Parameters
    ----------
    k : int
        Counted from 1; with 0 nothing is killed.
    folder : Path
        Changes elsewhere do not count.
    count : Path, optional
        The file that is as many bytes long as there were changes, at the end.
    """

    def __init__(self, k: int, folder: Path, count: Path | None = None) -> None:
        self.k, self.folder, self.at, self.count = k, str(folder), 0, count

    def __call__(self) -> None:
        """Begin to count."""
        for name in CHANGES:
            setattr(os, name, partial(self._changed, getattr(os, name)))
        for owner, name in ((tensor_files, "save_file"), (Path, "write_bytes"), (Path, "write_text")):
            setattr(owner, name, self._written(getattr(owner, name), 0 if owner is Path else 1))

    def _changed(self, change: Callable[..., Any], what: Any, *more: Any, **named: Any) -> Any:
        if isinstance(what, int) or named.get("dir_fd") is not None or str(what).startswith(self.folder):
            self._next(lambda: None)
        return change(what, *more, **named)

    def _written(self, write: Callable[..., Any], place: int) -> Callable[..., Any]:
        def written(*arguments: Any, **named: Any) -> Any:
            result = write(*arguments, **named)
            file = Path(arguments[place]).absolute()
            if str(file).startswith(self.folder):
                self._next(lambda: file.open("r+b").truncate(file.stat().st_size // 2))
            return result

        return written

    def _next(self, last: Callable[[], object]) -> None:
        self.at += 1
        if self.count is not None:
            with open(self.count, "ab") as file:
                file.write(b".")
        if self.at == self.k:
            last()
            os.kill(os.getpid(), signal.SIGKILL)
