"""Samplers: in which order a pass over the data visits its rows. Pure functions of the rows, the seed and the epoch.

Every pass is as long as the data set, whatever the sampler, so that a comparison compares equal numbers of steps. A
sampler that favours some classes says how large a share p_c of the pass each gets. The rows of a class are dealt in
turns, so that none comes again before all of them have (as Kang et al.'s `ClassAwareSampler` does), and the shares are
exact but for rounding, which is drawn. Order and shares are the same on every machine and in every process; of several,
each takes its part of every batch (`core.spread`).

p_c ∝ n_c^q: 1 is `Shuffle`, 0 `ClassBalanced`, 1/2 `SquareRoot`, from 1 to 0 `ProgressivelyBalanced` (Kang et al.,
"Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020, section 3, equations 1 and 2); −1
`Reversed` (Zhou et al., "BBN", CVPR 2020, section 4.2). `GroupBalanced` is `ClassBalanced` by group (Sagawa et al.,
ICLR 2020).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from skedastic.configurable import Configurable


class RowLabels(NamedTuple):
    """The classes and groups of n rows, which are all that a sampler may know.

    Parameters
    ----------
    label : Tensor
        The class of each row, [n] in 0..C-1; empty where targets are real.
    group : Tensor
        The group of each row, [n] in 0..G-1.
    """

    label: Tensor
    group: Tensor


@dataclass(frozen=True, kw_only=True)
class Sampler(Configurable, ABC):
    """The order of an epoch."""

    supports: ClassVar[frozenset[str]] = frozenset({"classification"})

    @abstractmethod
    def order(self, rows: RowLabels, seed: int, epoch: int, epochs: int) -> Tensor:
        """Return the positions of the rows of an epoch, in order, [n] int64, each in 0..n-1.

        Parameters
        ----------
        rows : RowLabels
            The classes and groups of the n rows.
        seed : int
            Of the order.
        epoch : int
            The epoch, counted from 0.
        epochs : int
            Epochs of the whole training, at least 1.
        """


@dataclass(frozen=True, kw_only=True)
class Shuffle(Sampler):
    """Every row once, in an order that is drawn again each epoch."""

    supports: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})

    def order(self, rows: RowLabels, seed: int, epoch: int, epochs: int) -> Tensor:
        """Return a permutation of 0..n-1, [n]."""
        return torch.randperm(len(rows.group), generator=seeded(seed, epoch))


class _Shared(Sampler):
    """A sampler that gives each class that has rows its share of the pass."""

    @abstractmethod
    def shares(self, count: Tensor, epoch: int, epochs: int) -> Tensor:
        """Return the share of the pass of each class, [C], not yet scaled to sum to 1; of counts [C] ≥ 1, float64."""

    def of(self, rows: RowLabels) -> Tensor:
        """Return which class each row is of, [n] int64."""
        return rows.label

    def order(self, rows: RowLabels, seed: int, epoch: int, epochs: int) -> Tensor:
        """Return n rows, each class that has some with its share of them."""
        member = self.of(rows)
        generator = seeded(seed, epoch)
        count = torch.bincount(member)
        count = count[count > 0]
        quota = _rounded(self.shares(count.double(), epoch, epochs), len(member), generator)
        by_class = torch.split(member.argsort(stable=True), count.tolist())
        dealt = torch.cat([_dealt(own, n, generator) for own, n in zip(by_class, quota.tolist(), strict=True)])
        return dealt[torch.randperm(len(dealt), generator=generator)]


@dataclass(frozen=True, kw_only=True)
class ClassBalanced(_Shared):
    """Every class the same share of the pass: a rare class's rows come often, a frequent one's seldom."""

    def shares(self, count: Tensor, epoch: int, epochs: int) -> Tensor:
        """Return ones."""
        return torch.ones_like(count)


@dataclass(frozen=True, kw_only=True)
class SquareRoot(_Shared):
    """p_c ∝ n_c^{1/2}."""

    def shares(self, count: Tensor, epoch: int, epochs: int) -> Tensor:
        """Return the square roots of the counts."""
        return count.sqrt()


@dataclass(frozen=True, kw_only=True)
class ProgressivelyBalanced(_Shared):
    """From the data's own shares in the first epoch to equal ones in the last: (1 − t/T) n_c/n + (t/T)/C."""

    def shares(self, count: Tensor, epoch: int, epochs: int) -> Tensor:
        """Return the mixture of epoch `epoch`."""
        t = epoch / max(epochs - 1, 1)
        return (1 - t) * count / count.sum() + t / len(count)


@dataclass(frozen=True, kw_only=True)
class Reversed(_Shared):
    """p_c ∝ 1/n_c: the rarest class comes most often."""

    def shares(self, count: Tensor, epoch: int, epochs: int) -> Tensor:
        """Return the inverse counts."""
        return 1 / count


@dataclass(frozen=True, kw_only=True)
class GroupBalanced(_Shared):
    """Every group the same share of the pass."""

    supports: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})

    def of(self, rows: RowLabels) -> Tensor:
        """Return the group of each row, [n] int64."""
        return rows.group

    def shares(self, count: Tensor, epoch: int, epochs: int) -> Tensor:
        """Return ones."""
        return torch.ones_like(count)


SAMPLERS: Mapping[str, type[Sampler]] = {
    "shuffle": Shuffle,
    "class-balanced": ClassBalanced,
    "square-root": SquareRoot,
    "progressively-balanced": ProgressivelyBalanced,
    "reversed": Reversed,
    "group-balanced": GroupBalanced,
}


def seeded(*key: int) -> torch.Generator:
    """Return a CPU generator seeded by a sequence of integers.

    Parameters
    ----------
    *key : int
        The integers, such as the seed and the epoch.
    """
    state = 0
    for k in key:  # a linear congruential mix: near keys give far seeds
        state = (state * 6364136223846793005 + k * 2 + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(state)


def _rounded(shares: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return whole numbers [C] that sum to n: each is n times its share but for a fraction, drawn systematically."""
    edges = (shares / shares.sum()).cumsum(0) * n
    edges[-1] = n
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    whole = (edges + offset).floor().long().clamp_max(n)
    whole[-1] = n
    return whole.diff(prepend=torch.zeros(1, dtype=torch.int64))


def _dealt(rows: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return n of `rows`, in turns: every row once before any comes again."""
    turns = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(-(-n // len(rows)))]
    return torch.cat(turns)[:n] if turns else rows[:0]
