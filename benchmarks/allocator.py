"""The worth of keeping freed memory on a CPU: the time of a training step over that without it, and the peak memory.

    python benchmarks/allocator.py [--json] [--pairs 5] [--batch 128] [--methods erm,co-teaching,mw-net]

ResNet-32 as in methods.py. Each figure is of a process of its own, begun in turns with and without, and is the median
of six steps; the ratios are medians over the pairs, with the range. On Linux with glibc; elsewhere nothing is kept, and
the ratios are about 1.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from typing import Any

import torch

from common import hardware, show
from methods import resident_mb, seconds_of, step_of
from skedastic.runtime.allocator import keep_freed_memory

STEPS = 6


def measure(name: str, size: int, keep: bool) -> tuple[float, float]:
    """Return the seconds of a step of this process, and its peak memory in MB."""
    if keep:
        keep_freed_memory()
    device = torch.device("cpu")
    step = step_of(name, size, device)
    times = [seconds_of(step, device) for _ in range(STEPS + 2)]
    return statistics.median(times[2:]), resident_mb("VmHWM")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--methods", default="erm,co-teaching,mw-net")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.keep is not None:
        print(*measure(arguments.methods, arguments.batch, bool(arguments.keep)))
        return
    figures: dict[str, Any] = {}
    for name in arguments.methods.split(","):
        pairs = []
        for _ in range(arguments.pairs):
            with_it, without = (
                tuple(map(float, subprocess.run(
                    [sys.executable, __file__, "--methods", name, "--batch", str(arguments.batch), "--keep", keep],
                    check=True, capture_output=True, text=True,
                ).stdout.split()))
                for keep in "10"
            )  # fmt: skip
            pairs.append((with_it[0] / without[0], with_it[1] / without[1]))
        for what, ratios in zip(("time", "memory"), zip(*pairs, strict=True), strict=True):
            figures[f"{name}_{what}_ratio"] = statistics.median(ratios)
            figures[f"{name}_{what}_range"] = [round(min(ratios), 3), round(max(ratios), 3)]
    show(figures | {"pairs": arguments.pairs} | hardware(), arguments.json)


if __name__ == "__main__":
    main()
