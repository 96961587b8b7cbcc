"""Several annotators of each row: soft labels of their votes, or the mean of their ratings, and their disagreement.

--annotators anna --annotators ben     columns of labels, or of ratings; a cell may be empty
--annotators ratings                   a column of lists of labels, or of ratings
--annotators counts:votes              a column of lists: how many people chose each class, in the order of the classes
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.settings import TaskName
from skedastic.data.tables.location import CellLocation, quoted
from skedastic.data.tables.numbers import as_numbers
from skedastic.data.tables.table import Table
from skedastic.data.tables.values import coded
from skedastic.data.targets.labels import natural_order, to_ids
from skedastic.data.targets.regression import holds_measurements
from skedastic.data.targets.target import TaskKind
from skedastic.errors import UserError

COUNTS = "counts:"


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


def annotator_columns(specs: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that annotators are read from."""
    return tuple(spec.removeprefix(COUNTS) for spec in specs)


def read_annotators(table: Table, specs: Sequence[str], task: TaskName, classes: Sequence[str] = ()) -> Annotations:
    """Read the annotators of a table.

    Parameters
    ----------
    table : Table
        The table that has their columns.
    specs : sequence of str
        The columns, as `--annotators` names them.
    task : TaskName
        "auto" takes labels or ratings, as the cells say.
    classes : sequence of str, optional
        The classes of the target, where they are known.

    Raises
    ------
    UserError
        A row has no label or rating, counts are no counts, or a label is no class.
    """
    columns = [table.column(name, "annotators column") for name in annotator_columns(specs)]
    if specs[0].startswith(COUNTS):
        if len(specs) > 1:
            raise UserError("counts are one column; name it alone", setting="annotators", value=",".join(specs))
        names = next((n for n in (classes, *table.label_names.values()) if n), ())
        return _of_counts(*columns[0], tuple(names))
    said = _long(columns, len(table))
    if task == "regression" or (task == "auto" and holds_measurements(said.values)):
        return _of_ratings(said, len(table))
    return _of_labels(said, len(table), classes)


@dataclass(frozen=True, eq=False)
class _Said:
    """m labels or ratings of several annotators: the row and the column of each [m], and the places of the columns."""

    row: NDArray[np.int64]
    values: pd.Series
    column: NDArray[np.int64]
    places: Sequence[CellLocation]

    def error(self, wrong: NDArray[np.bool_], rule: str) -> UserError:
        """Return the error about the first value that is wrong [m]."""
        at = int(wrong.argmax())
        value = str(self.values.iloc[at])
        place: CellLocation = self.places[int(self.column[at])]
        return place.error(int(self.row[at]), f"an annotator says {quoted(value)}, {rule}; mend the cell", value)


def _long(columns: Sequence[tuple[pd.Series, CellLocation]], n: int) -> _Said:
    """Return the labels or ratings of all columns, one below the other. Raises UserError for a row without any."""
    rows, parts = list[NDArray[Any]](), list[pd.Series]()
    for column, _ in columns:
        filled = column.notna().to_numpy()
        first = next(iter(column[filled]), None)
        if isinstance(first, (list, np.ndarray)):
            lengths = np.array([len(v) if f else 0 for v, f in zip(column, filled, strict=True)])
            rows.append(np.repeat(np.arange(n), lengths))
            parts.append(pd.Series([a for v, f in zip(column, filled, strict=True) if f for a in v]))
        else:
            codes, names = coded(column)
            filled = filled & np.array([bool(name) for name in names])[codes]
            rows.append(np.flatnonzero(filled))
            parts.append(column[filled])
    row, places = np.concatenate(rows), [place for _, place in columns]
    annotated = np.zeros(n, dtype=bool)
    annotated[row] = True
    if not annotated.all():
        missing = int((~annotated).sum())
        more = f", and {missing - 1} more rows have none" if missing > 1 else ""
        rule = f"the row has no label or rating by any annotator{more}; remove the row"
        raise places[0].error(int((~annotated).argmax()), rule)
    origin = np.repeat(np.arange(len(rows), dtype=np.int64), [len(part) for part in rows])
    return _Said(row, pd.concat(parts, ignore_index=True), origin, places)


def _of_labels(said: _Said, n: int, classes: Sequence[str]) -> Votes:
    codes, names = coded(said.values)
    known = tuple(classes) or natural_order(names)
    ids = to_ids(names, known).numpy()
    if (ids < 0).any() and all(name.isdigit() and int(name) < len(known) for name in names):
        ids = np.array([int(name) for name in names])  # numbers of the classes, as in a Hugging Face ClassLabel
    if (ids < 0).any():
        raise said.error(ids[codes] < 0, "which is no class of the target")
    votes = np.zeros((n, len(known)), dtype=np.float32)
    np.add.at(votes, (said.row, ids[codes]), 1)
    if len(known) < 2:
        rule = f"every annotator says {known[0]!r}; a classifier needs at least two classes"
        place = said.places[0].column
        raise UserError(rule, setting=place, value=known[0], given=place)
    return Votes(known, torch.from_numpy(votes))


def _of_ratings(said: _Said, n: int) -> Ratings:
    ratings, unparsable = as_numbers(said.values)
    if unparsable.any() or not np.isfinite(ratings).all():
        raise said.error(unparsable | ~np.isfinite(ratings), "which is no number")
    row = said.row
    number = np.bincount(row, minlength=n)
    mean = np.bincount(row, ratings, minlength=n) / number
    squares = np.bincount(row, (ratings - mean[row]) ** 2, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / (number - 1)
    return Ratings(*(torch.from_numpy(a.astype(np.float64)) for a in (mean, variance, number)))


def _of_counts(column: pd.Series, place: CellLocation, names: tuple[str, ...]) -> Votes:
    first = next(iter(column.dropna()), None)
    if not isinstance(first, (list, np.ndarray)):
        raise UserError("counts are a list in each cell, one number for each class", setting=place.column)
    classes = names if len(names) == len(first) else tuple(map(str, range(len(first))))
    votes = np.zeros((len(column), len(first)), dtype=np.float32)
    for i, cell in enumerate(column):
        values = np.asarray([] if cell is None else cell, dtype=object)
        numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
        if len(numbers) != len(first) or not (np.isfinite(numbers) & (numbers >= 0)).all() or numbers.sum() <= 0:
            rule = f"must be {len(first)} counts, none below 0 and not all 0; mend the cell"
            raise place.error(i, rule, str(cell))
        votes[i] = numbers
    return Votes(classes, torch.from_numpy(votes))
