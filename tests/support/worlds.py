"""Small data with a known trouble, and how much better than plain training a method does on it, over seeds.

A world is a function of a seed that gives a training set, a clean and balanced test set, and a small clean and balanced
reference set. Methods get the network, the training configuration, the batches and the start of plain training. What is
reported is paired by seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import nn

from skedastic.data import Classes, Dataset, Grouping, Numbers, corrupt
from skedastic.evaluation.evaluate import evaluate
from skedastic.evaluation.intervals import paired
from skedastic.evaluation.metrics import AnyMetrics
from skedastic.methods.bases.card import GROUP_STATS
from skedastic.methods.bases.method import Method
from skedastic.methods.cutout import cut_out
from skedastic.methods.erm import ERM
from skedastic.models import make
from skedastic.noise.estimate import estimate_groups
from skedastic.settings.config import Estimation
from skedastic.training import TrainingConfig, train
from skedastic.training.loop import make_task

SEEDS = 10
FEATURES = 10


@dataclass(frozen=True, eq=False)
class World:
    """One seed's data."""

    train: Dataset
    test: Dataset
    reference: Dataset


@dataclass(frozen=True)
class Blobs:
    """Gaussian blobs, class c around `apart` · e_c in ten dimensions, corrupted as `noise` and `imbalance` say.

    n: training examples before imbalance, as many of each class. trusted: of each class in the reference set.
    """

    noise: str | None = None
    imbalance: str | None = None
    classes: int = 4
    n: int = 800
    apart: float = 3.0
    trusted: int = 10

    def __call__(self, seed: int) -> World:
        """Return the data of a seed."""
        g = torch.Generator().manual_seed(seed)
        train_set, test, reference = (
            self.drawn(n, first, g)
            for n, first in ((self.n, 0), (2000, 10**6), (self.trusted * self.classes, 2 * 10**6))
        )
        if self.noise or self.imbalance:
            train_set, _ = corrupt(train_set, noise=self.noise, imbalance=self.imbalance, seed=seed)
        return World(train_set, test, reference)

    def drawn(self, n: int, first: int, g: torch.Generator) -> Dataset:
        """Return n examples, as many of each class, named from `first` on."""
        y = torch.arange(n) % self.classes
        x = torch.randn(n, FEATURES, generator=g)
        x[torch.arange(n), y] += self.apart
        names = tuple(f"c{i}" for i in range(self.classes))
        return Dataset(x, y, torch.arange(n) + first, y, Classes(names), Grouping(names), "table")


@dataclass(frozen=True)
class Noisy:
    """Numbers of ten features, a wave and a step of them, with noise in the training set alone.

    n: training examples.
    """

    n: int = 600

    def __call__(self, seed: int) -> World:
        """Return the data of a seed."""
        g = torch.Generator().manual_seed(seed)
        return World(self.drawn(self.n, 0, g, 0.5), self.drawn(2000, 10**6, g), self.drawn(40, 2 * 10**6, g))

    def drawn(self, n: int, first: int, g: torch.Generator, noise: float = 0.0) -> Dataset:
        """Return n examples, named from `first` on, in one group."""
        x = torch.randn(n, FEATURES, generator=g)
        y = torch.sin(2 * x[:, 0]) + (x[:, 1] > 0) * (x[:, 2] > 0) + noise * torch.randn(n, generator=g)
        group = torch.zeros(n, dtype=torch.int64)
        return Dataset(x, y.double(), torch.arange(n) + first, group, Numbers(), Grouping(("all",)), "table")


def mlp(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return the network of the worlds: two hidden layers of 64 with BatchNorm."""
    return make("mlp", shape, classes, {"width": 64, "depth": 2})


TRAINING = TrainingConfig(
    epochs=40, batch_size=64, lr=0.05, augment="none", device="cpu"
)  # enough to fit wrong labels too


def outcome(
    method: Method,
    world: Callable[[int], World],
    seed: int,
    training: TrainingConfig,
    net: Callable[[tuple[int, ...], int], nn.Module],
) -> AnyMetrics:
    """Train a method on a seed's data, and return the metrics of its test set."""
    data = world(seed)
    shape, classes = tuple(data.train.x.shape[1:]), data.train.target.outputs

    def make_net() -> nn.Module:
        return net(shape, classes)

    task = make_task(data.train, data.reference)
    if GROUP_STATS in method.capabilities.needs:
        stats = estimate_groups(data.train, make_net, training, Estimation(), seed=seed).stats
        task = replace(task, stats=stats)
    trained = train(method, data.train, make_net, training, seed=seed, task=task, reference=data.reference)
    test, counts = data.test, data.train.group_counts()
    return evaluate(trained.predict(test.x), test, counts)


plain = cache(outcome)  # of plain training, which many methods are compared to


def gain(
    method: Method,
    world: Callable[[int], World],
    *,
    measure: Callable[[AnyMetrics], float] = lambda metrics: metrics.value,
    training: TrainingConfig = TRAINING,
    net: Callable[[tuple[int, ...], int], nn.Module] = mlp,
    against: Method = ERM(),  # noqa: B008  frozen
    seeds: int = SEEDS,
) -> dict[str, Any]:
    """Return mean, low and high (95 %, Student's t, paired) of the gain of `method` over `against`, over seeds."""
    ours, theirs = (
        [measure(run(m, world, seed, training, net)) for seed in range(seeds)]
        for run, m in ((outcome, method), (plain, against))
    )
    return paired(ours, theirs)


def worst_group(metrics: AnyMetrics) -> float:
    """Return the accuracy of the worst class."""
    return metrics.worst_group.value


def rare(classes: int) -> Callable[[AnyMetrics], float]:
    """Return the measure that is the mean accuracy of the last `classes` classes, the rare ones of a long tail."""
    return lambda metrics: metrics.mean_of_groups([*metrics.groups][-classes:])


@dataclass(frozen=True)
class Occluded:
    """Images of 12 × 12: the class shows plainly on the left, faintly on the right; test images miss a square.

    n: training images, as many of each of four classes.
    """

    n: int = 400
    plain: float = 1.0
    faint: float = 0.5
    square: int = 6

    def __call__(self, seed: int) -> World:
        """Return the data of a seed."""
        g = torch.Generator().manual_seed(seed)
        left, right = torch.randn(2, 4, 1, 12, 6, generator=g)
        pattern = torch.cat([left, self.faint * right], dim=3)
        train_set, test, reference = (
            self.drawn(n, first, pattern, g) for n, first in ((self.n, 0), (1000, 10**6), (40, 2 * 10**6))
        )
        rows, columns = torch.randint(12, (2, len(test)), generator=g)
        assert isinstance(test.x, torch.Tensor)
        return World(train_set, replace(test, x=cut_out(test.x, rows, columns, self.square)), reference)

    def drawn(self, n: int, first: int, pattern: torch.Tensor, g: torch.Generator) -> Dataset:
        """Return n whole images, named from `first` on."""
        y = torch.arange(n) % 4
        x = 0.5 + 0.1 * (self.plain * pattern[y] + torch.randn(n, 1, 12, 12, generator=g))
        names = tuple(f"c{i}" for i in range(4))
        return Dataset(x, y, torch.arange(n) + first, y, Classes(names), Grouping(names), "image")
