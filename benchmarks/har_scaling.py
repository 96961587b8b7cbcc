"""How the cost of a HAR step grows: with depth, width, batch, number of groups and number of examples.

    python benchmarks/har_scaling.py [--json] [--rounds 7]

A step of `implicit` and one of plain training, in turn; medians. For each axis: the milliseconds, the ratio to plain
training, and the exponent of the growth over the axis (the slope of log time on log size; 1 is a straight line through
the origin). Groups and examples: an epoch of `train` with HAR on an MLP, over one with 10 groups or the fewest
examples; a straight line is no growth with the groups, and growth by the number of examples.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from common import hardware, show
from skedastic.core import JacobianPenalty, regularized_loss
from skedastic.core.jacobian import cross_entropy
from skedastic.core.strengths import GroupStats
from skedastic.data import Classes, Dataset, Grouping
from skedastic.methods.har import HAR
from skedastic.models import make
from skedastic.training import TrainingConfig, train
from skedastic.training.loop import make_task

AXES: dict[str, list[int]] = {
    "depth": [1, 2, 4, 8],  # blocks a stage of a CIFAR ResNet, 6·blocks + 2 layers
    "width": [8, 16, 32, 64],  # channels of the first stage
    "batch": [32, 64, 128, 256],
}
GROUPS = [10, 100, 1000, 10000]
EXAMPLES = [10000, 20000, 40000, 80000]


def step_times(axis: str, size: int, rounds: int) -> tuple[float, float]:
    """Return the milliseconds of a plain and of a HAR step."""
    options = {"blocks": 2, "width": 16, "batch": 32} | {"blocks" if axis == "depth" else axis: size}
    batch = options.pop("batch")
    torch.manual_seed(0)
    net = make("resnet32", (3, 32, 32), 10, options)
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    x, y = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
    strength, everyone = torch.full((batch,), 0.1), JacobianPenalty(select=1.0)

    def step(total: torch.Tensor) -> None:
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    kinds: list[Callable[[], None]] = [
        lambda: step(cross_entropy(net(x), y).mean()),
        lambda: step(regularized_loss(net, x, y, strength, penalty=everyone).total),
    ]
    times: list[list[float]] = [[], []]
    for round_ in range(rounds + 1):
        for kind, kept in zip(kinds, times, strict=True):
            start = time.perf_counter()
            kind()
            if round_:
                kept.append(time.perf_counter() - start)
    plain, har = (statistics.median(kept) * 1000 for kept in times)
    return plain, har


def epoch_time(examples: int, groups: int, rounds: int) -> float:
    """Return the seconds of an epoch of HAR on an MLP."""
    g = torch.Generator().manual_seed(0)
    y = torch.randint(0, 10, (examples,), generator=g)
    x = torch.randn(examples, 64, generator=g)
    group = torch.arange(examples) % groups
    names = tuple(f"g{i}" for i in range(groups))
    data = Dataset(
        x=x,
        y=y,
        index=torch.arange(examples),
        group=group,
        target=Classes(tuple("0123456789")),
        grouping=Grouping(names),
        kind="table",
    )
    count, rate = data.group_counts(), 0.1 + 0.4 * (torch.arange(groups) % 2).double()
    stats = GroupStats(names, count, data.density(), (rate * count).long(), count, *[rate] * 6)
    task = replace(make_task(data), stats=stats)
    training = TrainingConfig(epochs=1, batch_size=256, device="cpu")

    def make_net() -> nn.Module:
        return make("mlp", (64,), 10)

    method = HAR(select=1.0)
    return statistics.median(train(method, data, make_net, training, task=task).seconds for _ in range(rounds))


def slope(sizes: list[int], values: list[float]) -> float:
    """Return the slope of log value on log size."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for axis, sizes in AXES.items():
        plain, har = zip(*(step_times(axis, size, arguments.rounds) for size in sizes), strict=True)
        for size, a, b in zip(sizes, plain, har, strict=True):
            figures |= {f"{axis}_{size}_ms": b, f"{axis}_{size}_over_plain": b / a}
        figures |= {f"{axis}_exponent": slope(sizes, list(har)), f"{axis}_exponent_plain": slope(sizes, list(plain))}
    few = max(2, arguments.rounds // 2)
    by_groups = [epoch_time(40000, groups, few) for groups in GROUPS]
    by_examples = [epoch_time(examples, 100, few) for examples in EXAMPLES]
    for axis, sizes, values in (("groups", GROUPS, by_groups), ("examples", EXAMPLES, by_examples)):
        for size, value in zip(sizes, values, strict=True):
            figures[f"{axis}_{size}_epoch_s"] = value
        figures[f"{axis}_exponent"] = slope(sizes, values)
    show(figures | {"rounds": arguments.rounds, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
