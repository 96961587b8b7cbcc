"""Which of two ways of training is better, by the labels of examples that neither has seen.

Both predict every example by networks that were not trained on it. They are compared example by example, so that what
both find hard cancels, and group by group, so that a rare group counts as much as a frequent one. The labels are noisy:
a gain on them is smaller than on true ones. Where noise depends on the class alone and there are two classes, the
order of two ways by balanced accuracy is the same on noisy labels as on true ones (Menon, van Rooyen, Ong, Williamson,
"Learning from Corrupted Binary Labels via Class-Probability Estimation", ICML 2015, Proposition 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skedastic.core.samplers import seeded

COMMON = 5  # examples that the spread of all groups counts as, in that of each
LEAST_LABELS = 10  # of a class, below which nobody tells whether it was given up
GIVEN_UP = 0.5  # of its predictions, or of its labels
HALVING = 0x48414C56  # apart from other draws of the seed


class Gain(NamedTuple):
    """How much more often one way is right than another, in [−1, 1], and the standard error of that."""

    mean: float
    error: float


class Trial(NamedTuple):
    """A way of training that was held against another one.

    Parameters
    ----------
    name, other : str
        What they are, for the user.
    gain : Gain
        How much more often it is right about examples that neither has seen, the mean over groups.
    gives_up : bool
        Whether it gives up a class that the other does not.
    chosen : bool
        Whether it was taken, and not the other.
    """

    name: str
    other: str
    gain: Gain
    gives_up: bool
    chosen: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict() | {"gain": self.gain._asdict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """Return what `to_dict` described."""
        return cls(**{**values, "gain": Gain(**values["gain"])})


def paired_gain(right: Tensor, other: Tensor, group: Tensor) -> Gain:
    """Return by how much a way of training is right more often than another, the mean over groups.

    Parameters
    ----------
    right, other : Tensor
        Whether an example is predicted as it is labelled, by the one and by the other, [n] bool.
    group : Tensor
        The group of each example, [n] int64 ≥ 0. Groups without examples don't count.
    """
    difference = right.double() - other.double()
    count = torch.bincount(group)
    there = count > 0
    count = count.clamp_min(1)
    mean = torch.bincount(group, difference) / count
    squares = torch.bincount(group, (difference - mean[group]) ** 2)
    common = squares.sum() / (len(group) - there.sum()).clamp_min(1)
    # Of a few examples the spread is not known: of one it would be none.
    variance = (squares + COMMON * common) / (count - 1 + COMMON) / count
    groups = int(there.sum())
    return Gain(float(mean[there].sum() / groups), float(variance[there].sum().sqrt() / groups))


def gives_up_a_class(predicted: Tensor, other: Tensor, y: Tensor) -> bool:
    """Return whether a way of training predicts a class less than half as often as it is labelled, and as the other.

    Parameters
    ----------
    predicted, other : Tensor
        The predicted classes by the one and by the other, [n] int64.
    y : Tensor
        The labels, [n] int64. A class with fewer than ten is not judged.
    """
    classes = int(torch.stack([predicted, other, y]).max()) + 1
    own, others, labels = (torch.bincount(column, minlength=classes) for column in (predicted, other, y))
    return bool(((own < GIVEN_UP * torch.minimum(others, labels)) & (labels >= LEAST_LABELS)).any())


def halves(group: Tensor, y: Tensor, unit: Tensor | None, seed: int) -> Tensor:
    """Return the half of each example, [n] int64 in 0..1; groups and labels spread evenly, and a unit stays whole.

    Parameters
    ----------
    group, y : Tensor
        The group and the label of each example, [n] int64 ≥ 0.
    unit : Tensor or None
        The unit of each example, [n] int64.
    seed : int
        Of the draw.
    """
    unit = torch.arange(len(y)) if unit is None else torch.unique(unit, return_inverse=True)[1]
    first = torch.full((int(unit.max()) + 1,), len(y)).scatter_reduce(0, unit, torch.arange(len(y)), "amin")
    stratum = (group * (int(y.max()) + 1) + y)[first]  # of a unit that of its first example
    shuffled = torch.randperm(len(first), generator=seeded(seed, HALVING))
    order = shuffled[stratum[shuffled].sort(stable=True).indices]
    half = torch.empty_like(order)
    half[order] = torch.arange(len(order)) % 2  # dealt out like cards
    return half[unit]
