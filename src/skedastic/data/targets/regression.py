"""Targets that are numbers: their cells, their units, and the groups that bins of them make."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.tables.dress import NO_HINT, Dress, Hint
from skedastic.data.tables.location import CellLocation, quoted
from skedastic.data.tables.numbers import as_numbers, check_range
from skedastic.data.tables.values import is_text
from skedastic.errors import UserError

DEFAULT_BINS = 10
MOST_NUMBERS = 50  # distinct numbers above which a column is looked at twice
MOST_WRONG, LEAST_MEANT = 0.1, 10  # of the cells of measurements; distinct numbers that are more than classes


@dataclass(frozen=True)
class Scale:
    """The units of a target: a network is trained on (y − mean) / deviation.

    Parameters
    ----------
    mean : float
        The mean of the training rows, in the target's units.
    deviation : float
        Their standard deviation, in the target's units, above 0.
    """

    mean: float
    deviation: float

    @classmethod
    def fit(cls, y: Tensor) -> Scale:
        """Return the scale of training targets.

        Parameters
        ----------
        y : Tensor
            The targets, [n], in their units.

        Raises
        ------
        UserError
            All of them are the same.
        """
        mean, deviation = float(y.mean()), float(y.std(correction=0)) if len(y) else 0.0
        if not deviation > 10 * np.finfo(np.float64).eps * abs(mean):
            rule = f"every target of the training rows is {mean:g}; regression needs different ones"
            raise UserError(rule, setting="target", value=mean, given="target")
        return cls(mean, deviation)

    def standardized(self, y: Tensor) -> Tensor:
        """Return targets as a network is trained on them, [n] float32, without units.

        Parameters
        ----------
        y : Tensor
            The targets, [n], in their units.
        """
        return ((y.double() - self.mean) / self.deviation).float()

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return the outputs of a network in the target's units, float64.

        Parameters
        ----------
        outputs : Tensor
            Outputs of any shape, without units.
        """
        return outputs.double() * self.deviation + self.mean


UNSCALED = Scale(0.0, 1.0)  # of targets whose training rows are not chosen yet


@dataclass(frozen=True)
class Bins:
    """Groups by the size of the target: G intervals [a, b), the last with its end.

    Parameters
    ----------
    edges : tuple of float
        The G − 1 targets at which a new bin begins, ascending, in the target's units.
    widths : tuple of float
        [G]; the density of a bin is relative to its width.
    names : tuple of str
        [G], such as "326 to 646".
    """

    edges: tuple[float, ...]
    widths: tuple[float, ...]
    names: tuple[str, ...]

    @classmethod
    def fit(cls, y: Tensor, bins: int | None = None) -> Bins:
        """Return bins with an equal share of the targets, or nearly so where many are the same.

        Where there are at most as many different targets as bins, each is a bin of its own.

        Parameters
        ----------
        y : Tensor
            The targets, [n].
        bins : int or None, optional
            The number of bins, at least 1; by default 10.

        Raises
        ------
        UserError
            There are fewer different targets than `bins`.
        """
        values = np.sort(y.double().numpy())
        distinct = np.unique(values)
        if bins is not None and bins > len(distinct):
            rule = f"there are only {len(distinct)} different targets; ask for at most as many bins"
            raise UserError(rule, setting="bins", value=bins)
        count = bins or DEFAULT_BINS
        if len(distinct) <= count:
            names = [f"{v:.12g}" for v in distinct]
            names = names if len(set(names)) == len(names) else [repr(v) for v in distinct.tolist()]
            return cls(tuple(distinct[1:].tolist()), (1.0,) * len(distinct), tuple(names))
        at = (np.arange(1, count) * len(values)) // count
        edges = np.unique(values[at])
        edges = edges[edges > values[0]]
        return cls(tuple(edges.tolist()), _widths(values, edges), _names(values, edges))

    def of(self, y: Tensor) -> Tensor:
        """Return the bin of each target, [n] int64 in 0..G-1; the outer bins reach to infinity.

        Parameters
        ----------
        y : Tensor
            The targets, [n].
        """
        return torch.bucketize(y.double(), torch.tensor(self.edges, dtype=torch.float64), right=True)


def holds_measurements(column: pd.Series, hint: Hint = NO_HINT) -> bool:
    """Tell whether a column of labels holds measurements: numbers that are not all whole, or a great many of them."""
    numbers, _ = as_numbers(column, hint=hint)
    return bool(np.isfinite(numbers).all()) and _are_measurements(numbers)


def means_measurements(column: pd.Series, hint: Hint = NO_HINT) -> bool:
    """Tell whether a column holds measurements, or does but for a few cells, which are to be mended.

    These are missing, infinite or no number. Beside them there are more than ten different numbers, and at least nine
    times as many cells.
    """
    numbers, unparsable = as_numbers(column, hint=hint)
    finite = numbers[np.isfinite(numbers)]
    wrong = np.isinf(numbers) | unparsable
    if len(finite) == len(numbers):
        return _are_measurements(finite)
    few = wrong.sum() <= MOST_WRONG * (wrong.sum() + len(finite))
    return bool(few) and len(np.unique(finite)) > LEAST_MEANT and _are_measurements(finite)


def _are_measurements(numbers: NDArray[np.float64]) -> bool:
    distinct = len(np.unique(numbers))
    return bool((numbers != np.round(numbers)).any() or (distinct > MOST_NUMBERS and distinct > len(numbers) / 20))


def read_numbers(
    column: pd.Series, place: CellLocation, what: str = "target", dress: Dress | None = None, hint: Hint = NO_HINT
) -> Tensor:
    """Return the numbers [n] float64 of a column.

    Parameters
    ----------
    column : Series
        The cells [n].
    place : CellLocation
        The place of the column, for errors.
    what : str, optional
        What a number is, for errors.
    dress : Dress or None, optional
        How they are written; by default as the cells tell.
    hint : Hint, optional
        What is known of the table's numbers.

    Raises
    ------
    UserError
        A cell is missing, infinite or no number, or single precision can't hold it.
    """
    numbers, unparsable = as_numbers(column, dress, hint)
    if unparsable.any():
        row = int(unparsable.argmax())
        cell = str(column.iloc[row])
        rule = (
            f"{quoted(cell)} is not a number, and regression needs numbers; mend the cell, remove the row, or train a "
            "classifier with --task classification"
        )
        raise place.error(row, rule, cell)
    missing = np.isnan(numbers)
    if missing.any():
        row = int(missing.argmax())
        word = str(column.iloc[row]).strip() if is_text(column) and not column.isna().iloc[row] else ""
        more = f", and {int(missing.sum()) - 1} more" if missing.sum() > 1 else ""
        rule = f"the {what} is missing{f' ({quoted(word)})' * bool(word)}{more}; fill the number in, or remove the row"
        raise place.error(row, rule, word or None)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        more = f", as {int(infinite.sum()) - 1} more are" if infinite.sum() > 1 else ""
        rule = (
            f"the {what} is {numbers[row]}{more}, and regression needs finite numbers; mend the cell, or remove the row"
        )
        raise place.error(row, rule, float(numbers[row]))
    check_range(numbers, column, place)
    return torch.from_numpy(numbers.copy())


def _widths(values: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the width of each bin of sorted values.

    The outer two reach at most twice their median, so that an outlier has no say.
    """
    if not len(edges):
        return (1.0,)
    first = 2 * (edges[0] - np.median(values[values < edges[0]]))
    last = 2 * (np.median(values[values >= edges[-1]]) - edges[-1])
    inner = np.diff(edges)
    least = min(inner[inner > 0], default=max(first, last))
    return tuple(float(max(w, least)) for w in (first, *inner, last))


def _names(values: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[str, ...]:
    ends = [values[0], *edges, values[-1]]
    text: list[str] = []
    for digits in (4, 6, 9, 17):  # until the names differ
        text = [f"{end:.0f}" if 1000 <= abs(end) < 1e12 and digits == 4 else f"{end:.{digits}g}" for end in ends]
        if len(set(text[:-1])) == len(text) - 1:
            break
    return tuple(a if a == b else f"{a} to {b}" for a, b in pairwise(text))
