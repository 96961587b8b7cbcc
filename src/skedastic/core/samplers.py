"""Samplers: in which order a pass over the data visits its rows. Pure functions of (size, seed, epoch)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Sampler(Protocol):
    """The order of an epoch."""

    def order(self, n: int, seed: int, epoch: int) -> Tensor:
        """Return the rows of epoch `epoch` [m], each in 0..n-1; the same for the same arguments on every machine."""
        ...


@dataclass(frozen=True, kw_only=True)
class Shuffle:
    """Every row once, in an order drawn anew each epoch."""

    def order(self, n: int, seed: int, epoch: int) -> Tensor:
        """Return a permutation of 0..n-1, [n]."""
        return torch.randperm(n, generator=seeded(seed, epoch))


def seeded(*key: int) -> torch.Generator:
    """Return a CPU generator seeded by a sequence of integers, such as (seed, epoch)."""
    state = 0
    for k in key:  # a linear congruential mix: near keys give far seeds
        state = (state * 6364136223846793005 + k * 2 + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(state)
