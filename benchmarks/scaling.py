"""How much faster two processes train than one, with the same global batch, and what they tell each other.

    python benchmarks/scaling.py [--json] [--rounds 5] [--processes 2] [--networks mlp,resnet20,resnet20-gn]

Every process has one thread. In each round the first trains a few steps alone, while the others wait, and then all
train as many together. The efficiency is the median over rounds of the time alone, over that together times the number
of processes: 1 is as fast as can be. Bytes are those that a process tells the others in a step of training; the two of
the finite check and of signals are not counted. Networks: `mlp` of two layers of 1,024 units on 256 columns, batches of
1,024; `resnet20` on 32 × 32 pixels, batches of 128; `resnet20-gn` the same with GroupNorm in place of BatchNorm.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import torch
from torch import nn

from common import hardware, show
from skedastic.core.strengths import GroupStats
from skedastic.data import Classes, Dataset, Grouping
from skedastic.methods.bases.method import Method
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.models import make
from skedastic.runtime.launch import free_port
from skedastic.training import TrainingConfig
from skedastic.training.loop import make_task
from skedastic.training.ranks import apart, joined, spread_over, together
from skedastic.training.stage import StageRun

CLASSES, STEPS = 10, 4
METHODS: dict[str, Method] = {"plain": ERM(), "har": HAR(strength=0.1)}
SHAPES = {"mlp": ((256,), 1024), "resnet20": ((3, 32, 32), 128), "resnet20-gn": ((3, 32, 32), 128)}


def network(name: str) -> nn.Module:
    """Return a network of a name of `SHAPES`."""
    if name == "mlp":
        layers = [nn.Linear(256, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, CLASSES)]
        return nn.Sequential(*layers)
    net = make("resnet32", (3, 32, 32), CLASSES, {"blocks": 3})
    if name == "resnet20-gn":
        for module in list(net.modules()):
            for key, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, key, nn.GroupNorm(8, child.num_features))
    return net


def stage_of(name: str, method: Method) -> StageRun:
    """Return a stage of training on noise, of STEPS steps an epoch."""
    shape, batch = SHAPES[name]
    n = STEPS * batch
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % CLASSES
    names, kind = tuple(map(str, range(CLASSES))), "table" if len(shape) == 1 else "image"
    x = torch.randn(n, *shape, generator=g)
    data = Dataset(x=x, y=y, index=torch.arange(n), group=y, target=Classes(names), grouping=Grouping(names), kind=kind)
    count, rate = data.group_counts(), torch.linspace(0.02, 0.6, CLASSES).double()
    stats = GroupStats(names, count, data.density(), (rate * count).long(), count, *[rate] * 6)
    task = replace(make_task(data), stats=stats)
    torch.manual_seed(0)
    state = method.init(task, lambda: network(name))
    training = TrainingConfig(epochs=10_000, batch_size=batch, device="cpu", augment="none").settled()
    return StageRun(method.stages(task)[0], state, task, data, training, 0, torch.device("cpu"), 10_000)


def measured(name: str, method: Method, rounds: int) -> dict[str, float]:
    """Return the figures of a network and a method."""
    spread = joined()
    assert spread is not None
    with apart():
        one = stage_of(name, method)
    many, alone, shared = stage_of(name, method), list[float](), list[float]()
    for round_ in range(rounds + 1):
        start = time.perf_counter()
        if spread.rank == 0:
            with apart():
                one.run_epoch()
        alone.append(time.perf_counter() - start)
        torch.distributed.barrier()
        before = spread.bytes
        start = time.perf_counter()
        with spread_over(many.state):
            many.run_epoch()
        shared.append(time.perf_counter() - start)
        torch.distributed.barrier()
        if not round_:
            alone.clear(), shared.clear()
    efficiencies = [a / (spread.ranks * b) for a, b in zip(alone, shared, strict=True)]
    gradients = sum(p.numel() * p.element_size() for p in many.state.parameters())
    return {
        "alone_ms": 1000 * statistics.median(alone) / STEPS,
        "together_ms": 1000 * statistics.median(shared) / STEPS,
        "efficiency": statistics.median(efficiencies),
        "efficiency_least": min(efficiencies),
        "efficiency_most": max(efficiencies),
        "bytes_a_step": (spread.bytes - before) / STEPS,
        "bytes_of_gradients": float(gradients),
    }


def work(names: list[str], rounds: int) -> None:
    """Measure, in one of the processes; the first prints."""
    torch.set_num_threads(1)
    with together() as spread:
        assert spread is not None
        figures = {
            f"{name}_{method}_{key}": value
            for name in names
            for method, made in METHODS.items()
            for key, value in measured(name, made, rounds).items()
        }
        if spread.rank == 0:
            print(json.dumps(figures | {"processes": spread.ranks, "rounds": rounds, **hardware()}))


def main() -> None:
    """Start the processes, and print what the first of them measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--networks", default=",".join(SHAPES))
    arguments = parser.parse_args()
    if "RANK" in os.environ:
        return work(arguments.networks.split(","), arguments.rounds)
    ranks = str(arguments.processes)
    common = {**os.environ, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, *sys.argv],
            env={**common, "OMP_NUM_THREADS": "1", "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(arguments.processes)
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("a process failed")
    show(json.loads(said[0]), arguments.json)


if __name__ == "__main__":
    main()
