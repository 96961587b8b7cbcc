"""What the benchmarks share: the machine they ran on, how they print, and what a process of the command line says."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

CIFAR = Path(__file__).parent.parent.parent / "shared" / "data" / "cifar10_train.parquet"


def hardware() -> dict[str, Any]:
    """Return what the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "torch": torch.__version__,
    }


def show(figures: dict[str, Any], as_json: bool) -> None:
    """Print the figures, one a line or as JSON."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    for key, value in figures.items():
        print(f"{key:28s} {value:.3f}" if isinstance(value, float) else f"{key:28s} {value}")


class Said(NamedTuple):
    """A line that a process says on stderr, the seconds of wall clock since its start, and its id."""

    seconds: float
    line: str
    process: int


def said(*arguments: str) -> Iterator[Said]:
    """Yield the lines of `skedastic` with these arguments as they come; the process ends with the last one taken.

    Raises CalledProcessError where it fails.
    """
    start, command = time.perf_counter(), [sys.executable, "-m", "skedastic", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                yield Said(time.perf_counter() - start, line.rstrip("\n"), process.pid)
        except GeneratorExit:
            process.kill()
            return
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
