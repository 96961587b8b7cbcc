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
    notes: tuple[str, ...]
    """For the user: how they were read."""

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
        """Return them for these classes, in this order, and notes on ties and on other votes, which are left out."""

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
    notes : tuple of str, optional
        For the user.
    """

    task = "classification"

    classes: tuple[str, ...]
    votes: Tensor
    notes: tuple[str, ...] = ()

    @property
    def soft(self) -> Tensor:
        """The share of the votes for each class, [n, C] float32."""
        return self.votes / self.votes.sum(1, keepdim=True)

    def targets(self) -> pd.Series:
        """Return the number [n] of the class with the most votes; of several one at random, the same each time."""
        draw = torch.rand(self.votes.shape, generator=torch.Generator().manual_seed(0))
        chosen = torch.where(self._most, draw, -1).argmax(1)
        return pd.Series(chosen.numpy())  # numbers of the classes, which may be numbers themselves

    @property
    def _most(self) -> Tensor:
        """Whether no class has more votes, [n, C] bool."""
        return self.votes == self.votes.max(1, keepdim=True).values

    def disagreement(self, y: Tensor) -> Tensor:
        """Return the share of votes against each label y [n]."""
        return 1 - self.soft.gather(1, y[:, None]).squeeze(1).double()

    def for_classes(self, classes: Sequence[str]) -> tuple[Votes, tuple[str, ...]]:
        """Return the votes for these classes, in this order, and notes on ties and on others, which are left out."""
        lost = [c for c in self.classes if c not in classes]
        kept = self.votes[:, [self.classes.index(c) for c in classes]]
        number = int((self.votes.sum() - kept.sum()).round())
        notes = []
        if lost:
            votes = f"{number:,} vote{'s' * (number != 1)}"
            notes.append(f"left out: {votes} for {', '.join(lost[:6])}, the label of no row")
        if ties := int((self._most.sum(1) > 1).sum()):
            rows = f"{ties:,} row{'s' * (ties != 1)} of {len(self.votes):,}"
            notes.append(f"{rows} with as many votes for several classes: one of these was drawn, the same each time")
        return replace(self, classes=tuple(classes), votes=kept), tuple(notes)

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
    notes : tuple of str, optional
        For the user.
    """

    task = "regression"
    classes = ()

    mean: Tensor
    variance: Tensor
    number: Tensor
    notes: tuple[str, ...] = ()

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
