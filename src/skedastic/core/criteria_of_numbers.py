"""Criteria of numbers: the size of errors, by which `stack` weighs its ways and chooses.

As criteria of classes they are the larger the better, so that a score is the negative error.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skedastic.core.choice import Gain, Score
from skedastic.core.criteria import Criterion, Held
from skedastic.core.stacking import absolute_weights, convex_weights, mean_absolute, root_mean_square, share_saved

OVER_GROUPS = " over groups"  # is the mean of a criterion where groups are given


@dataclass(frozen=True, kw_only=True)
class OfNumbers(Criterion):
    """The size of errors of predicted numbers, a mean over rows or over groups."""

    of_numbers: ClassVar[bool] = True

    @abstractmethod
    def size(self, errors: Tensor, part: Tensor) -> Score:
        """Return the size of errors, at least 0, and the influence of each row on it.

        Parameters
        ----------
        errors : Tensor
            By how much each prediction is off, [n].
        part : Tensor
            The part of each row, [n] int64 ≥ 0: the mean is taken over the rows of each, then over the parts.
        """

    @abstractmethod
    def weights(self, errors: Tensor, part: Tensor) -> Tensor:
        """Return the weights [k] ≥ 0 of sum 1 by which the mean of k predictions errs least.

        Parameters
        ----------
        errors : Tensor
            By how much each prediction is off, [n, k].
        part : Tensor
            As of `size`.
        """

    def saved(self, errors: Tensor, others: Tensor, part: Tensor, unit: Tensor | None = None) -> Gain:
        """Return the share of the others' error that is saved, at most 1; arguments as of `size` and `share_saved`."""
        return share_saved(self.size(errors, part), self.size(others, part), unit)

    def score(self, scores: Tensor, held: Held) -> Score:
        """Return the negative error of predicted numbers [n], the mean over the groups."""
        found = self.size(scores - held.y, held.group)
        return Score(-found.value, -found.influence)


@dataclass(frozen=True, kw_only=True)
class RMSE(OfNumbers):
    """The root mean squared error, in which a few large errors count most."""

    def size(self, errors: Tensor, part: Tensor) -> Score:
        """Return the root mean square."""
        return root_mean_square(errors, part)

    def weights(self, errors: Tensor, part: Tensor) -> Tensor:
        """Return those of least squared error."""
        return convex_weights(errors, part)


@dataclass(frozen=True, kw_only=True)
class MAE(OfNumbers):
    """The mean absolute error, in which twice the error counts twice."""

    def size(self, errors: Tensor, part: Tensor) -> Score:
        """Return the mean absolute error."""
        return mean_absolute(errors, part)

    def weights(self, errors: Tensor, part: Tensor) -> Tensor:
        """Return those of least absolute error."""
        return absolute_weights(errors, part)


CRITERIA_OF_NUMBERS: Mapping[str, type[OfNumbers]] = {criterion.shown_name(): criterion for criterion in (RMSE, MAE)}
