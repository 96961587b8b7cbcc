"""Real processes that train together: each runs a program of these tests, and what they print is returned."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from skedastic.runtime.launch import free_port

ROOT = Path(__file__).parents[2]


def environment(ranks: int, rank: int, port: int) -> dict[str, str]:
    """The variables that torchrun gives a process, one thread each."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {**os.environ, **{name: str(value) for name, value in own.items()}, "OMP_NUM_THREADS": "1"}


def in_processes(ranks: int, program: str, *arguments: object) -> list[str]:
    """Run a module in so many processes; return what each prints. A process that fails fails the test."""
    command, port = [sys.executable, "-m", program, *map(str, arguments)], free_port()
    running = [
        subprocess.Popen(
            command,
            env=environment(ranks, rank, port),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    return _said(running)


def _said(running: Sequence[subprocess.Popen[str]]) -> list[str]:
    try:
        told = [process.communicate(timeout=300) for process in running]
    finally:
        for process in running:
            process.kill()
    failed = [err[-2000:] for process, (_, err) in zip(running, told, strict=True) if process.returncode]
    assert not failed, "\n".join(failed)
    return [out for out, _ in told]
