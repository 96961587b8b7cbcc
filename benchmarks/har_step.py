"""What a HAR step costs: ResNet-32, batches of 128, against the step of plain training in the same run.

    python benchmarks/har_step.py [--json] [--rounds 9] [--batch 128]

Every round times one step of each, in turn; a ratio is the median over rounds of (step / plain step), with the
smallest and largest. Peak memory: each kind in a process of its own, three steps, above what the process held before.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from common import hardware, show
from skedastic.core import JacobianPenalty, regularized_loss
from skedastic.core.jacobian import cross_entropy
from skedastic.models import make

KINDS = ("erm", "implicit", "finite", "exact")


def make_steps(batch: int) -> dict[str, Callable[[], None]]:
    """Return a training step of each kind, all on one network and batch."""
    torch.manual_seed(0)
    net = make("resnet32", (3, 32, 32), 10)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, 0.9, weight_decay=1e-4)
    x, y, strength = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,)), torch.rand(batch) * 0.1

    def step(total: torch.Tensor) -> None:
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    def regularized(kind: str) -> Callable[[], None]:
        penalty = JacobianPenalty(gradient=kind)  # type: ignore[arg-type]
        return lambda: step(regularized_loss(net, x, y, strength, penalty=penalty).total)

    plain = {"erm": lambda: step(cross_entropy(net(x), y).mean())}
    return plain | {kind: regularized(kind) for kind in KINDS[1:]}


def peak_mb(kind: str, batch: int) -> float:
    """Return the peak memory of three steps, measured in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", kind, "--batch", str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def status_mb(field: str) -> float:
    """Return a field of this process's /proc status, such as VmHWM, the most memory it ever held."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--memory-of", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    steps = make_steps(arguments.batch)
    if arguments.memory_of:
        before = status_mb("VmRSS")
        for _ in range(3):
            steps[arguments.memory_of]()
        print(status_mb("VmHWM") - before)
        return
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for round_ in range(arguments.rounds + 1):
        for kind in KINDS:
            start = time.perf_counter()
            steps[kind]()
            if round_:  # the first warms up
                times[kind].append(time.perf_counter() - start)
    figures: dict[str, object] = {"erm_ms": statistics.median(times["erm"]) * 1000}
    for kind in KINDS[1:]:
        ratios = [a / b for a, b in zip(times[kind], times["erm"], strict=True)]
        figures[f"{kind}_ratio"] = statistics.median(ratios)
        figures[f"{kind}_ratio_range"] = [round(min(ratios), 3), round(max(ratios), 3)]
    memory = {kind: peak_mb(kind, arguments.batch) for kind in KINDS}
    figures["erm_memory_mb"] = memory["erm"]
    figures |= {f"{kind}_memory_ratio": memory[kind] / memory["erm"] for kind in KINDS[1:]}
    show(figures | {"rounds": arguments.rounds, "batch": arguments.batch, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
