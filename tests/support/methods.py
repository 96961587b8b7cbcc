"""Small data, networks and engines that the tests of methods share."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skedastic.core import GroupStats
from skedastic.data import Classes, Dataset, Grouping, Numbers
from skedastic.methods.bases.card import IMAGES, REFERENCE
from skedastic.methods.bases.method import Method
from skedastic.methods.bases.step import Batch, Clock, Step
from skedastic.methods.bases.task import Task
from skedastic.methods.presets import presets
from skedastic.training import PlainEngine, TrainingConfig, train
from skedastic.training.loop import make_task

METHODS = [pytest.param(name, id=name) for name in presets()]


BOTH = [
    pytest.param(name, kind, id=f"{name}-{kind}")
    for name, preset in presets().items()
    for kind in ("classification", "regression")
    if kind in preset.make().capabilities.tasks
]
TRAINING = TrainingConfig(epochs=3, batch_size=16, lr=0.05, device="cpu")
CLOCK = Clock(0, 1, 0)


def dataset(n: int = 50, kind: str = "classification", first: int = 0) -> Dataset:
    """n examples, and where `first` is not 0 others than those."""
    g = torch.Generator().manual_seed(first)
    y = torch.arange(n) % 3
    x = torch.randn(n, 6, generator=g) + torch.nn.functional.one_hot(y, 6)
    names = ("a", "b", "c")
    parts: dict[str, Any] = {
        "x": x,
        "index": torch.arange(n) + 100 + first,
        "group": y.clone(),
        "grouping": Grouping(names),
        "kind": "table",
    }
    if kind == "classification":
        return Dataset(y=y, target=Classes(names), **parts)
    real = 1000 + 30 * x.sum(1).double()
    return Dataset(y=real, target=Numbers().fit(real), **parts)


def long_tail():
    """Return 38 rows: 20 of a, 12 of b, 6 of c."""
    rows = torch.cat([torch.arange(0, 60, 3), torch.arange(1, 60, 3)[:12], torch.arange(2, 60, 3)[:6]])
    return dataset(60).subset(rows.sort().values)


def task(data: Dataset) -> Task:
    count = torch.bincount(data.group)
    noise = torch.tensor([0.1, 0.3, 0.2])
    errors = (noise * count).long() if data.classes else None
    rates = (noise, noise / 2, noise * 2)
    wrong = rates if data.classes else (None, None, None)
    stats = GroupStats(data.groups, count, count / len(data), errors, count, *rates, *wrong)
    return replace(make_task(data, reference(kind_of(data))), stats=stats)


def kind_of(data: Dataset) -> str:
    return data.target.task


def reference(kind: str = "classification") -> Dataset:
    """Trusted examples, for the methods that need some."""
    trusted = dataset(12, kind, first=1000)
    return replace(trusted, target=dataset(kind=kind).target)


class Flat(nn.Linear):
    """A first layer that reads images too, which some methods are for."""

    def forward(self, x):
        return super().forward(x.flatten(1))


def make_net(outputs: int = 3) -> nn.Module:
    return nn.Sequential(
        Flat(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(inplace=True),
        nn.Dropout(0.2),
        nn.Linear(16, outputs),
    )


def net_of(kind: str):
    return partial(make_net, 3 if kind == "classification" else 1)


def data_for(method: Method, kind: str = "classification", n: int = 50) -> Dataset:
    """A table, or for methods that need images, images of 2 × 3 pixels."""
    data = dataset(n, kind)
    assert isinstance(data.x, Tensor)
    return replace(data, x=data.x.view(-1, 1, 2, 3), kind="image") if IMAGES in method.capabilities.takes else data


def batch_of(data: Dataset, rows) -> Batch:
    return Batch(data.x[rows], data.targets[rows], data.index[rows], data.group[rows], len(data.classes))


class Noting(torch.optim.SGD):
    """SGD that notes whose gradient it had, in one step or another."""

    had: tuple[bool, ...] = ()

    def step(self, closure=None):
        parameters = self.param_groups[0]["params"]
        now = [p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in parameters]
        self.had = tuple(map(any, zip(now, self.had or now, strict=True)))
        return super().step(closure)


def engine_for(method: Method, state, kind: str = "classification") -> PlainEngine:
    """An engine of plain SGD, whose streams are all one batch."""
    optimizers = {n: Noting(p, 0.1) for n, p in method.param_groups(state).items() if p}
    data, trusted = data_for(method, kind), reference(kind)
    return PlainEngine(
        optimizers,
        torch.device("cpu"),
        draw=lambda stream: batch_of(trusted if stream == REFERENCE else data, torch.arange(12)),
        examples=lambda index: iter([batch_of(data, torch.arange(len(data)) if index is None else index - 100)]),
    )


def start(method: Method, kind: str = "classification"):
    torch.manual_seed(0)
    data = data_for(method, kind)
    state = method.init(task(data), net_of(kind)).train()
    return state, batch_of(data, slice(16))


def observed(method: Method, state, batch: Batch, clock: Clock = CLOCK) -> Step:
    """The forward of a step that the method has seen."""
    step = Step(state, batch, method.forward(state, batch), clock)
    with torch.no_grad():
        method.observe(step)
    return step


def run(method: Method, seed: int = 0, kind: str = "classification"):
    data = data_for(method, kind)
    return train(method, data, net_of(kind), TRAINING, seed=seed, task=task(data), reference=reference(kind))


def weights(net: nn.Module) -> list[Tensor]:
    return [v.clone() for v in net.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
