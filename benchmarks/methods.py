"""What a step of each method costs, in time and in peak memory, over the step of plain training in the same run.

    python benchmarks/methods.py [--json] [--rounds 9] [--batch 128] [--methods l2rw,mw-net,…] [--device cuda]

ResNet-32 on batches of 128 colour images, each method with its defaults through its own `step`, by the engine that
training has: SGD with momentum, and what optimizers the method has besides. Every round times one step of each, in an
order drawn anew; a ratio is the median over rounds of (step / plain step), with the quartiles. Plain training is timed
twice a round: the others are held against the mean of both, and `erm_again` against the first, which shows the noise.
Reference batches are as large as the method has them; freed memory is kept, as by the command line. Peak memory: each
method in a process of its own, three steps, above what the process held before it had a network, over that of plain
training. By default, the methods that do more than weigh or change the loss. On a GPU a round is ten steps of each, and
memory is what torch had allocated there.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from common import hardware, show
from skedastic.core.strengths import GroupStats
from skedastic.data import Classes, Dataset, Grouping
from skedastic.methods import discover
from skedastic.methods.bases.card import REFERENCE
from skedastic.methods.bases.step import Batch, Clock
from skedastic.methods.bases.task import Task
from skedastic.models import make
from skedastic.runtime.allocator import keep_freed_memory
from skedastic.settings.methods import make_method
from skedastic.training import PlainEngine, TrainingConfig
from skedastic.training.loop import make_task
from skedastic.training.optimizers import make_optimizer

EXAMPLES, CLASSES = 5000, 10
STEPS = 10  # of a method in a row, on a GPU
FAMILIES = ("noise cleaning", "reweighting by learning", "long tail", "around another method", "regularization")


def make_world(size: int, share: float, device: torch.device) -> tuple[Task, Batch, Batch]:
    """Return a task of random images with estimated noise, a batch, and a reference batch, a share as large."""
    y = torch.randint(CLASSES, (EXAMPLES,))
    names, index = tuple(str(c) for c in range(CLASSES)), torch.arange(EXAMPLES)
    data = Dataset(torch.zeros(EXAMPLES, 1), y, index, y, Classes(names), Grouping(names), "table")
    count, noise = data.group_counts(), torch.full((CLASSES,), 0.2, dtype=torch.float64)
    stats = GroupStats(names, count, data.density(), count // 5, count, *[noise] * 6)
    batches = [
        Batch(
            *(part.to(device) for part in (torch.randn(len(rows), 3, 32, 32), y[rows], index[rows], y[rows])), CLASSES
        )
        for rows in torch.randperm(EXAMPLES)[: size + round(share * size)].split(size)
    ]
    return replace(make_task(data, data), input_shape=(3, 32, 32), stats=stats), *batches


def step_of(name: str, size: int, device: torch.device) -> Callable[[], None]:
    """Return a training step of the method, on networks of its own."""
    torch.manual_seed(0)
    method = make_method(name, {})
    task, batch, reference = make_world(size, method.batch_shares().get(REFERENCE, 1.0), device)
    state = method.init(task, lambda: make("resnet32", (3, 32, 32), CLASSES)).train().to(device)
    training, own = TrainingConfig(lr=0.01).settled(), method.optimizers()
    optimizers = {
        n: torch.optim.Adam(p, own[n].lr) if n in own else make_optimizer(training, p)
        for n, p in method.param_groups(state).items()
    }
    engine = PlainEngine(optimizers, device, draw=lambda stream: reference)
    return lambda: (method.step(state, batch, Clock(1, 2, 0), engine), None)[1]


def seconds_of(step: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of a step."""
    if device.type != "cuda":
        start = time.perf_counter()
        step()
        return time.perf_counter() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / STEPS


def resident_mb(field: str) -> float:
    """Return a field of this process's /proc status in MB, such as VmHWM, the most memory that it ever held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def own_peak_mb(name: str, size: int, device: torch.device) -> float:
    """Return the peak memory of three steps in this process."""
    on_gpu = device.type == "cuda"
    before = torch.cuda.memory_allocated() / 2**20 if on_gpu else resident_mb("VmRSS")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    step = step_of(name, size, device)
    for _ in range(3):
        step()
    return (torch.cuda.max_memory_allocated() / 2**20 if on_gpu else resident_mb("VmHWM")) - before


def peak_mb(name: str, size: int, device: torch.device) -> float:
    """Return the peak memory of three steps; on a CPU measured in a process of its own."""
    if device.type == "cuda":
        return own_peak_mb(name, size, device)
    command = [sys.executable, __file__, "--memory-of", name, "--batch", str(size), "--device", str(device)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--methods", default="")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size, device = arguments.batch, arguments.device
    keep_freed_memory()
    if arguments.memory_of:
        print(own_peak_mb(arguments.memory_of, size, device))
        return
    chosen = arguments.methods.split(",") if arguments.methods else [
        name for name, cls in discover().items() if cls.card.family in FAMILIES
    ]  # fmt: skip
    steps = {"erm": step_of("erm", size, device), "erm_again": step_of("erm", size, device)}
    steps |= {name: step_of(name, size, device) for name in chosen}
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = random.Random(0)
    for round_ in range(arguments.rounds + 1):
        for name in order.sample(list(steps), len(steps)):
            taken = seconds_of(steps[name], device)
            if round_:  # the first warms up
                times[name].append(taken)
    plain = peak_mb("erm", size, device)
    figures: dict[str, Any] = {"erm_ms": statistics.median(times["erm"]) * 1000, "erm_memory_mb": plain}
    both = [(a + b) / 2 for a, b in zip(times["erm"], times["erm_again"], strict=True)]
    for name in list(steps)[1:]:
        against = times["erm"] if name == "erm_again" else both
        ratios = [a / b for a, b in zip(times[name], against, strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        figures |= {f"{name}_ratio": median, f"{name}_quartiles": [round(low, 3), round(high, 3)]}
        if name != "erm_again":
            figures[f"{name}_memory_ratio"] = peak_mb(name, size, device) / plain
    show(figures | {"rounds": arguments.rounds} | hardware(), arguments.json)


if __name__ == "__main__":
    main()
