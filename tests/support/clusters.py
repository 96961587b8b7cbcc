"""A real Dask cluster on this machine: a scheduler and workers, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import SOURCE

PATIENCE = 120  # seconds until a test gives up


@dataclass
class DaskCluster:
    """Its name as the user gives it, and its processes."""

    name: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


def waited_for(ready: Callable[[], Any]) -> Any:
    """Return what a function returns, once that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := ready()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.05)
    return found


@contextmanager
def dask_cluster(folder: Path, threads: Sequence[int] = (1, 1), **environment: str) -> Iterator[DaskCluster]:
    """Lend a cluster whose workers have so many threads; they are in an empty folder, and know this package alone."""
    (folder / "elsewhere").mkdir()
    settings = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **environment}
    begun: list[subprocess.Popen[bytes]] = []

    def start(part: str, *words: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", "--no-dashboard", *map(str, words)]
        nowhere = subprocess.DEVNULL
        begun.append(subprocess.Popen(command, cwd=folder / "elsewhere", env=settings, stdout=nowhere, stderr=nowhere))
        return begun[-1]

    def address() -> str | None:
        text = file.read_text() if file.exists() else ""
        return json.loads(text)["address"] if text.endswith("}") else None

    try:
        file = folder / "scheduler.json"
        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", file)
        there = waited_for(address)
        workers = [start("worker", there, "--nthreads", count, "--no-nanny") for count in threads]
        yield DaskCluster(f"dask:{there}", scheduler, workers)
    finally:
        for process in begun:
            process.kill()
            process.wait()
