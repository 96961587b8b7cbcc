"""Several people's answers to each row: soft labels of their votes, or the mean of their ratings, and how far they disagree.

--annotators anna --annotators ben     columns of labels, or of ratings; a cell may be empty
--annotators ratings                   a column of lists of labels, or of ratings
--annotators counts:votes              a column of lists: how many people chose each class, in the order of the classes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.tables.columns import CellLocation, as_numbers, coded
from skedastic.data.tables.table import Table
from skedastic.data.targets.labels import natural_order, to_ids
from skedastic.data.targets.regression import holds_measurements
from skedastic.errors import UserError

COUNTS = "counts:"


@dataclass(frozen=True, eq=False)
class Votes:
    """What the annotators of n rows said.

    votes: [n, C] float32, how many chose each class. Of numbers: mean [n], variance [n] of a single rating (unbiased; NaN of
    a single one), and number [n] of ratings.
    """

    classes: tuple[str, ...]
    votes: Tensor | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None
    number: Tensor | None = None

    @property
    def soft(self) -> Tensor:
        """The share of the votes for each class, [n, C] float32."""
        assert self.votes is not None
        return self.votes / self.votes.sum(1, keepdim=True)

    def only(self, classes: Sequence[str]) -> tuple[Votes, tuple[str, ...]]:
        """Return the votes for these classes, in this order, and a remark on those for others, which are left out."""
        assert self.votes is not None
        lost = [c for c in self.classes if c not in classes]
        kept = self.votes[:, [self.classes.index(c) for c in classes]]
        number = int((self.votes.sum() - kept.sum()).round())
        note = f"left out: {number:,} votes for {', '.join(lost[:6])}, for which no row has the most"
        return replace(self, classes=tuple(classes), votes=kept), (note,) * bool(lost)

    def disagreement(self, y: Tensor) -> Tensor:
        """Return how noisy each row is, [n] float64: the share of votes against y [n], or the variance of the mean rating."""
        if self.votes is not None:
            return 1 - self.soft.gather(1, y[:, None]).squeeze(1).double()
        assert self.variance is not None
        assert self.number is not None
        return self.variance / self.number


def annotator_columns(specs: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that annotators are read from."""
    return tuple(spec.removeprefix(COUNTS) for spec in specs)


def read_annotators(table: Table, specs: Sequence[str], regression: bool | None, classes: Sequence[str] = ()) -> Votes:
    """Read the annotators of a table. regression: None where the answers tell. classes: those of the target, where they are known.

    Raises UserError for a row that nobody answered, counts that are none, and answers that are no class.
    """
    columns = [table.column(name, "annotators column") for name in annotator_columns(specs)]
    if specs[0].startswith(COUNTS):
        if len(specs) > 1:
            raise UserError(f"annotators={','.join(specs)}: counts are one column; name it alone")
        names = next((n for n in (classes, *table.label_names.values()) if n), ())
        return _of_counts(*columns[0], tuple(names))
    row, answers, place = _long(columns, len(table))
    real = holds_measurements(answers) if regression is None else regression
    return (
        _of_ratings(row, answers, place, len(table)) if real else _of_labels(row, answers, place, len(table), classes)
    )


def _long(
    columns: Sequence[tuple[pd.Series, CellLocation]], n: int
) -> tuple[NDArray[np.int64], pd.Series, CellLocation]:
    """Return one line for each answer: its row [m], and what it is [m]."""
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
    row, place = np.concatenate(rows), columns[0][1]
    answered = np.zeros(n, dtype=bool)
    answered[row] = True
    if not answered.all():
        missing = int((~answered).sum())
        more = f", and {missing - 1} more" if missing > 1 else ""
        raise UserError(f"{place.at(int((~answered).argmax()))}: no annotator has answered{more}; remove the row")
    return row, pd.concat(parts, ignore_index=True), place


def _of_labels(
    row: NDArray[np.int64], answers: pd.Series, place: CellLocation, n: int, classes: Sequence[str]
) -> Votes:
    codes, names = coded(answers)
    known = tuple(classes) or natural_order(names)
    ids = to_ids(names, known).numpy()
    if (ids < 0).any() and all(name.isdigit() and int(name) < len(known) for name in names):
        ids = np.array([int(name) for name in names])  # numbers of the classes, as in a Hugging Face ClassLabel
    if (ids < 0).any():
        wrong = int((ids[codes] < 0).argmax())
        raise UserError(
            f"{place.at(int(row[wrong]))}: an annotator says {names[codes[wrong]]!r}, which is no class of the target"
        )
    votes = np.zeros((n, len(known)), dtype=np.float32)
    np.add.at(votes, (row, ids[codes]), 1)
    if len(known) < 2:
        raise UserError(f"{place.column}: every annotator says {known[0]!r}; a classifier needs at least two classes")
    return Votes(known, torch.from_numpy(votes))


def _of_ratings(row: NDArray[np.int64], answers: pd.Series, place: CellLocation, n: int) -> Votes:
    ratings, unparsable = as_numbers(answers)
    if unparsable.any() or not np.isfinite(ratings).all():
        wrong = int((unparsable | ~np.isfinite(ratings)).argmax())
        raise UserError(
            f"{place.at(int(row[wrong]))}: an annotator says {str(answers.iloc[wrong])[:40]!r}, which is no number"
        )
    number = np.bincount(row, minlength=n)
    mean = np.bincount(row, ratings, minlength=n) / number
    squares = np.bincount(row, (ratings - mean[row]) ** 2, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / (number - 1)
    parts = (torch.from_numpy(a.astype(np.float64)) for a in (mean, variance, number))
    return Votes((), None, *parts)


def _of_counts(column: pd.Series, place: CellLocation, names: tuple[str, ...]) -> Votes:
    first = next(iter(column.dropna()), None)
    if not isinstance(first, (list, np.ndarray)):
        raise UserError(f"{place.column}: counts are a list in each cell, one number for each class")
    classes = names if len(names) == len(first) else tuple(map(str, range(len(first))))
    votes = np.zeros((len(column), len(first)), dtype=np.float32)
    for i, cell in enumerate(column):
        values = np.asarray([] if cell is None else cell, dtype=object)
        numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
        if len(numbers) != len(first) or not (np.isfinite(numbers) & (numbers >= 0)).all() or numbers.sum() <= 0:
            raise UserError(f"{place.at(i)}: must be {len(first)} counts, none below 0 and not all 0; mend the cell")
        votes[i] = numbers
    return Votes(classes, torch.from_numpy(votes))
