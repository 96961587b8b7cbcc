"""What a step with instance weights costs against the step of plain training in the same run.

    python benchmarks/weights.py [--json] [--rounds 15] [--batch 128]

ResNet-32 on batches of 128 colour images, every method of the family "instance weights" through its own `step`:
forward, losses, weights, backward, SGD. Every round times one step of each, in a fresh random order; a ratio is the
median over rounds of (step / plain step), with the quartiles. Plain training is timed twice a round, so that
`erm_again_ratio` shows the noise. `*_alone_us` is what reweighting takes by itself, without network and backward, in
microseconds (the median of 200).
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from common import hardware, show
from skedastic.methods import discover
from skedastic.methods.bases.method import Method
from skedastic.methods.bases.step import Batch, Clock, State, Step
from skedastic.methods.erm import ERM
from skedastic.models import make
from skedastic.training import PlainEngine
from skedastic.training.loop import make_task

EXAMPLES, CLASSES = 5000, 10


def task_and_batch(size: int) -> tuple[Any, Batch]:
    """Return a task of random images, and a batch."""
    from skedastic.data import Classes, Dataset, Grouping

    y = torch.randint(CLASSES, (EXAMPLES,))
    names = tuple(str(c) for c in range(CLASSES))
    index = torch.arange(EXAMPLES)
    data = Dataset(
        x=torch.zeros(EXAMPLES, 1),
        y=y,
        index=index,
        group=y,
        target=Classes(names),
        grouping=Grouping(names),
        kind="table",
    )
    rows = torch.randperm(EXAMPLES)[:size]
    return make_task(data), Batch(torch.randn(size, 3, 32, 32), y[rows], index[rows], y[rows])


def step_of(method: Method, task: Any, batch: Batch) -> tuple[Callable[[], None], State]:
    """Return a training step of the method, on a network of its own."""
    torch.manual_seed(0)
    state = method.init(task, lambda: make("resnet32", (3, 32, 32), CLASSES)).train()
    optimizer = torch.optim.SGD(state.parameters(), 0.01, 0.9, weight_decay=1e-4, fused=True)
    engine = PlainEngine({"main": optimizer}, torch.device("cpu"))
    return lambda: (method.step(state, batch, Clock(0, 1, 0), engine), None)[1], state


def alone(method: Method, state: State, batch: Batch) -> float:
    """Return the microseconds that `observe` and the weights of `objective` take, given the network's output."""
    with torch.no_grad():
        out = method.forward(state, batch)
        seconds = []
        for _ in range(200):
            start = time.perf_counter()
            method.observe(Step(state, batch, out, Clock(0, 1, 0)))
            method.objective(Step(state, batch, out, Clock(0, 1, 0)))
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    task, batch = task_and_batch(arguments.batch)
    reweighting = {name: cls() for name, cls in discover().items() if cls.card.family == "instance weights"}
    methods = {"erm": ERM(), "erm_again": ERM(), **reweighting}
    steps = {name: step_of(method, task, batch) for name, method in methods.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = random.Random(0)
    for round_ in range(arguments.rounds + 1):
        for name in order.sample(list(steps), len(steps)):
            start = time.perf_counter()
            steps[name][0]()
            if round_:  # the first warms up
                times[name].append(time.perf_counter() - start)
    figures: dict[str, Any] = {"erm_ms": statistics.median(times["erm"]) * 1000}
    for name in list(steps)[1:]:
        ratios = [a / b for a, b in zip(times[name], times["erm"], strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        key = name.replace("-", "_")
        figures |= {f"{key}_ratio": median, f"{key}_quartiles": [round(low, 3), round(high, 3)]}
        figures[f"{key}_alone_us"] = alone(methods[name], steps[name][1], batch)
    show(figures | {"rounds": arguments.rounds} | hardware(), arguments.json)


if __name__ == "__main__":
    main()
