"""Held-out predictions of a training set, and the columns by which they are judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data import Dataset

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOut:
    """Predictions of n examples by models that were not trained on them.

    Parameters
    ----------
    values : Tensor
        Class probabilities, [n, C], or predictions in the target's units, [n]; NaN where there are none.
    fold : Tensor
        The model that each comes from, [n]; -1 where there is none.
    matched : Tensor or None
        The class probabilities with each class predicted as often as it is labelled, [n, C] float64, by
        `confident.matched`; None where targets are numbers.
    """

    values: Tensor
    fold: Tensor
    matched: Tensor | None = None

    @property
    def present(self) -> Tensor:
        """Whether an example has a prediction, [n] bool."""
        return (self.fold >= 0) & ~self.values.reshape(len(self.values), -1).isnan().any(1)

    def only(self, usable: Tensor, folds: Tensor) -> HeldOut:
        """Return the predictions of the usable rows alone.

        Parameters
        ----------
        usable : Tensor
            Whether a row is kept, [n] bool; its fold is one of those that are kept.
        folds : Tensor
            Whether a fold is kept, [K] bool; those that are get the numbers 0, 1, ….
        """
        position = torch.cumsum(folds, 0) - 1
        matched = None if self.matched is None else _masked(self.matched, usable)
        fold = torch.where(usable, position[self.fold], -1)
        return replace(self, values=_masked(self.values, usable), fold=fold, matched=matched)


class Judged(NamedTuple):
    """The n rows that have a held-out prediction.

    Parameters
    ----------
    y : ndarray
        The targets as given, [n]; labels are in 0..C-1.
    fold : ndarray
        The model that each row was held out from, [n] in 0..K-1.
    group : ndarray
        [n] in 0..G-1.
    groups : int
        G.
    unit : ndarray
        The unit of each row, [n]: rows of one unit are alike.
    """

    y: NDArray[Any]
    fold: Integers
    group: Integers
    groups: int
    unit: Integers

    @property
    def in_fold(self) -> list[Integers]:
        """The rows of each of the K folds."""
        return [np.flatnonzero(self.fold == k) for k in range(int(self.fold.max(initial=-1)) + 1)]


def judged_rows(dataset: Dataset, held_out: HeldOut) -> tuple[Tensor, Judged]:
    """Return the rows that have a prediction, [m], and their targets, folds, groups and units."""
    rows = held_out.present.nonzero().flatten()
    unit = torch.arange(len(dataset)) if dataset.unit is None else dataset.unit
    y, fold, group, units = (column[rows].numpy() for column in (dataset.y, held_out.fold, dataset.group, unit))
    return rows, Judged(y, fold, group, len(dataset.groups), units)


def _masked(values: Tensor, usable: Tensor) -> Tensor:
    return torch.where(usable.reshape(-1, *[1] * (values.ndim - 1)), values, torch.nan)
