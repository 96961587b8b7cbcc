"""What annotators say of each row: soft labels of their votes, or the mean of their ratings, and their disagreement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd
import torch
from torch import Tensor

from skedastic.data.targets.target import TaskKind


class Annotations(ABC):
    """The labels or the ratings of n rows by several annotators."""

    classes: tuple[str, ...]
    """The names of the C classes of votes; none of ratings."""
    task: ClassVar[TaskKind]

    @property
    @abstractmethod
    def soft(self) -> Tensor | None:
        """Soft labels [n, C] float32, where there are some."""

    @abstractmethod
    def targets(self) -> pd.Series:
        """Return the target [n] of each row by its annotators: the number of a class, or a number."""

    @abstractmethod
    def disagreement(self, y: Tensor) -> Tensor:
        """Return how noisy each target y [n] is by their disagreement, [n] float64; NaN for a single annotator."""

    @abstractmethod
    def for_classes(self, classes: Sequence[str]) -> tuple[Annotations, tuple[str, ...]]:
        """Return them for these classes, in this order, and a note on those for others, which are left out."""

    @abstractmethod
    def corrected(self, rows: Tensor, y: Tensor) -> Annotations:
        """Return them with the target of y [n] alone for `rows` [m] int64, which a person has corrected."""


@dataclass(frozen=True, eq=False)
class Votes(Annotations):
    """Votes for classes.

    Parameters
    ----------
    classes : tuple of str
        The names of the C classes.
    votes : Tensor
        How many people chose each class, [n, C] float32.
    """

    task = "classification"

    classes: tuple[str, ...]
    votes: Tensor

    @property
    def soft(self) -> Tensor:
        """The share of the votes for each class, [n, C] float32."""
        return self.votes / self.votes.sum(1, keepdim=True)

    def targets(self) -> pd.Series:
        """Return the number [n] of the class with the most votes."""
        return pd.Series(self.votes.argmax(1).numpy())  # numbers of the classes, which may be numbers themselves

    def disagreement(self, y: Tensor) -> Tensor:
        """Return the share of votes against each label y [n]."""
        return 1 - self.soft.gather(1, y[:, None]).squeeze(1).double()

    def for_classes(self, classes: Sequence[str]) -> tuple[Votes, tuple[str, ...]]:
        """Return the votes for these classes, in this order, and a note on those for others, which are left out."""
        lost = [c for c in self.classes if c not in classes]
        kept = self.votes[:, [self.classes.index(c) for c in classes]]
        number = int((self.votes.sum() - kept.sum()).round())
        note = f"left out: {number:,} votes for {', '.join(lost[:6])}, for which no row has the most"
        return Votes(tuple(classes), kept), (note,) * bool(lost)

    def corrected(self, rows: Tensor, y: Tensor) -> Votes:
        """Return the votes; a corrected row has one, for the right label."""
        votes = self.votes.clone()
        votes[rows] = torch.nn.functional.one_hot(y[rows], votes.shape[1]).to(votes.dtype)
        return replace(self, votes=votes)


@dataclass(frozen=True, eq=False)
class Ratings(Annotations):
    """Ratings by numbers.

    Parameters
    ----------
    mean : Tensor
        The mean rating of each row, [n] float64.
    variance : Tensor
        The unbiased variance of a single rating, [n] float64; NaN where there is one rating.
    number : Tensor
        The number of ratings, [n] float64.
    """

    task = "regression"
    classes = ()

    mean: Tensor
    variance: Tensor
    number: Tensor

    @property
    def soft(self) -> None:
        """Ratings are no soft labels."""
        return

    def targets(self) -> pd.Series:
        """Return the mean rating [n]."""
        return pd.Series(self.mean.numpy())

    def disagreement(self, y: Tensor) -> Tensor:
        """Return the variance of the mean rating, [n]."""
        return self.variance / self.number

    def for_classes(self, classes: Sequence[str]) -> tuple[Ratings, tuple[str, ...]]:
        """Return the ratings."""
        return self, ()

    def corrected(self, rows: Tensor, y: Tensor) -> Ratings:
        """Return the ratings: they tell how noisy a row is, whatever its right target."""
        return self
