"""What it costs to keep steps that are not finite from the weights, against the same epochs without the check.

    python benchmarks/not_finite.py [--json] [--rounds 40] [--device cpu]

Plain training of networks of two hidden layers on 5,120 rows, one thread, batches of 128. Every round times an epoch of
each way, on a CPU in seconds of this process alone; a ratio is the smallest time over that without the check. `skip` is
`train.on_nan=skip:3`.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch import nn

from common import hardware, show
from skedastic.data import Classes, Dataset, Grouping
from skedastic.methods.erm import ERM
from skedastic.training import TrainingConfig
from skedastic.training.finite import FiniteSteps
from skedastic.training.loop import make_task
from skedastic.training.stage import StageRun

ROWS, COLUMNS, CLASSES, BATCH = 5120, 16, 3, 128
WAYS = {"off": "stop", "stop": "stop", "skip": "skip:3"}


class Unchecked(FiniteSteps):
    """It looks at nothing."""

    def take_loss(self, loss: Any) -> None:
        """Take a loss."""

    def may_step(self, optimizer: Any, *, scaled: bool) -> bool:
        """Return that the optimizer is to be stepped."""
        return True

    def end_step(self, step: Any, names: Any, losses: Any) -> None:
        """End a step."""


def rows() -> Dataset:
    """Return rows of noise."""
    y = torch.arange(ROWS) % CLASSES
    names = tuple(map(str, range(CLASSES)))
    x, index = torch.randn(ROWS, COLUMNS), torch.arange(ROWS)
    return Dataset(x=x, y=y, index=index, group=y, target=Classes(names), grouping=Grouping(names), kind="table")


def stage(way: str, width: int, optimizer: str, device: torch.device, epochs: int) -> StageRun:
    """Return plain training that is about to begin."""
    data, method = rows(), ERM()
    task = make_task(data)
    torch.manual_seed(0)
    layers = [nn.Linear(COLUMNS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES)]
    state = method.init(task, lambda: nn.Sequential(*layers)).to(device)
    how = TrainingConfig(
        batch_size=BATCH, optimizer=optimizer, device=str(device), on_nan=WAYS[way], schedule="constant"
    )
    run = StageRun(method.stages(task)[0], state, task, data, how.settled(), 0, device, epochs)
    if way == "off":
        run.engine.finite = Unchecked(device, {})
    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device, figures = torch.device(arguments.device), dict[str, Any]()
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    for width in (32, 128, 512):
        for optimizer in ("sgd", "adamw"):
            runs = {way: stage(way, width, optimizer, device, arguments.rounds) for way in WAYS}
            least = dict.fromkeys(WAYS, float("inf"))
            for _ in range(arguments.rounds):
                for way, run in runs.items():
                    start = clock()
                    run.run_epoch()
                    least[way] = min(least[way], clock() - start)
            name = f"{optimizer} {width}"
            figures[f"{name} step_us"] = least["off"] / (ROWS // BATCH) * 1e6
            figures |= {f"{name} {way}_ratio": least[way] / least["off"] for way in ("stop", "skip")}
    show(figures | hardware(), arguments.json)


if __name__ == "__main__":
    main()
