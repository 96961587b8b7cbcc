"""Held-out predictions of a training set, the true classes that they point to, and what they are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data import Dataset
from skedastic.noise.true_labels import TrueLabels

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
        The predicted classes where each class is predicted as often as it is labelled, [n] int32, by
        `matching.matched`; None where targets are numbers.
    truth : TrueLabels or None
        What the m rows of `rows` tell of the true classes; None where targets are numbers.
    """

    values: Tensor
    fold: Tensor
    matched: Tensor | None = None
    truth: TrueLabels | None = None

    @cached_property
    def rows(self) -> Tensor:
        """The rows that have a prediction, [m] int64."""
        return self.present.nonzero().flatten()

    @cached_property
    def present(self) -> Tensor:
        """Whether an example has a prediction, [n] bool."""
        sums = self.values.reshape(len(self.values), -1).sum(1)  # NaN where any is; it takes no [n, C] more
        return (self.fold >= 0) & ~sums.isnan()

    def of_rows(self, column: Tensor) -> NDArray[Any]:
        """Return what a column [n, ...] holds of `rows`, [m, ...]; the column itself, and no copy, where all are.

        Parameters
        ----------
        column : Tensor
            Such as `values`.
        """
        return (column if len(self.rows) == len(column) else column[self.rows]).numpy()


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
    unit : ndarray or None
        The unit of each row, [n]: rows of one unit are alike. None where each row is one.
    """

    y: NDArray[Any]
    fold: Integers
    group: Integers
    groups: int
    unit: Integers | None

    @property
    def in_fold(self) -> list[Integers]:
        """The rows of each of the K folds."""
        return [np.flatnonzero(self.fold == k) for k in range(int(self.fold.max(initial=-1)) + 1)]


def judged_rows(dataset: Dataset, held_out: HeldOut) -> Judged:
    """Return the targets, folds, groups and units of the rows that have a prediction."""
    y, fold, group = map(held_out.of_rows, (dataset.y, held_out.fold, dataset.group))
    unit = None if dataset.unit is None else held_out.of_rows(dataset.unit)
    return Judged(y, fold, group, len(dataset.groups), unit)
