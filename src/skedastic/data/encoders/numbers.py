"""Numbers and dates as a network reads them: imputed, scaled by their quartiles and clipped, a date as its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.encoders.common_scale import proportions
from skedastic.data.tables.table import Columns

BOUND = 3.0  # of the numbers that a network reads; what lies within 1 stays nearly as it is
Values = NDArray[np.float64]


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, or a part of a date: imputed by the median, scaled, and clipped smoothly.

    Numbers are centred at the median and divided by the distance of the quartiles; where these are one number, by half
    of the range; a column of two values is standardized. Then z becomes z / √(1 + (z/3)²), which no single number leads
    far away (RealMLP: Holzmüller, Grinsztajn, Steinwart, "Better by Default", NeurIPS 2024, section 3). Many
    columns of one kind then get their own proportions back (`skedastic.data.encoders.common_scale`).

    Parameters
    ----------
    name : str
        The column.
    part : str
        The part of a date: "days" since 1970, or the sine or cosine of the time in the year, the week or the day. Empty
        for a column of numbers.
    median, center, scale : float
        The median, and what is subtracted and divided by, of the training rows.
    marked : bool
        Whether some training cells are missing; another column then says which cells are.
    weight : float
        What the result is multiplied by: 1, or among many columns of one kind its spread over theirs.
    """

    name: str
    part: str
    median: float
    center: float
    scale: float
    marked: bool
    weight: float = 1.0

    def cells(self, columns: Columns, rows: Tensor | None) -> Values:
        """Return the numbers [m] of rows, NaN where missing."""
        return _numbers(columns, self.name, self.part, rows)

    def encoded(self, values: Values) -> Iterator[Values]:
        """Yield the columns that stand for the cells [n]."""
        missing = np.isnan(values)
        scaled = (np.where(missing, self.median, values) - self.center) / self.scale
        yield self.weight * scaled / np.hypot(1, scaled / BOUND)
        if self.marked:
            yield missing.astype(np.float64)


def rows_of(columns: Columns, name: str, rows: Tensor | None) -> pd.Series:
    """Return rows [m] int64 of a parsed column, or all."""
    column = columns[name]
    return column if rows is None else column.take(rows.numpy())


def _numbers(columns: Columns, name: str, part: str, rows: Tensor | None) -> Values:
    cells = rows_of(columns, name, rows)
    return _date_part(cells, part) if part else cells.to_numpy(np.float64)


def fitted_numbers(
    columns: Columns, numbers: Sequence[tuple[str, str]], rows: Tensor | None
) -> tuple[NumberColumn, ...]:
    """Fit on training rows, one column at a time: each by its name and part."""
    fitted = [_fitted(name, part, _numbers(columns, name, part, rows)) for name, part in numbers]
    weights = proportions([0.0 if number.part else spread for number, spread in fitted])
    return tuple(replace(n, weight=float(w)) for (n, _), w in zip(fitted, weights, strict=True))


def _fitted(name: str, part: str, values: Values) -> tuple[NumberColumn, float]:
    """Return the column [n], fitted with few copies of it, and its spread; 0 where it has fewer than three values."""
    known = values[~np.isnan(values)]
    marked = len(known) < len(values) and not part
    if not len(known):
        return NumberColumn(name, part, 0.0, 0.0, 1.0, marked), 0.0
    least, low, median, high, most = map(float, np.quantile(known, (0, 0.25, 0.5, 0.75, 1)))
    if least == most:
        return NumberColumn(name, part, median, median, 1.0, marked), 0.0
    if bool(((known == least) | (known == most)).all()):
        return NumberColumn(name, part, median, float(known.mean()), float(known.std()), marked), 0.0
    scale = high - low or (most - least) / 2
    return NumberColumn(name, part, median, median, scale, marked), scale


def date_parts(cells: pd.Series) -> list[str]:
    """Return the parts that stand for dates: days, and the time in the year, the week and the day where it differs."""
    parts = ["days"]
    for part in ("year", "week", "hours"):
        waves = [f"{part} sin", f"{part} cos"]
        if any(_differ(_date_part(cells, wave)) for wave in waves):
            parts += waves
    return parts


def _differ(values: Values) -> bool:
    known = values[~np.isnan(values)]
    return bool(len(known) and np.ptp(known) > 1e-9)


def _date_part(cells: pd.Series, part: str) -> Values:
    dates = pd.DatetimeIndex(cells)
    microseconds = dates.to_numpy("datetime64[us]").astype(np.int64)
    days = np.where(dates.isna(), np.nan, microseconds / 86_400e6)
    if part == "days":
        return days
    period, wave = part.split()
    turn = {
        "year": (dates.day_of_year.to_numpy(np.float64) - 1) / 365.25,
        "week": dates.day_of_week.to_numpy(np.float64) / 7,
        "hours": days % 1,
    }[period]
    return np.asarray(np.sin(2 * np.pi * turn) if wave == "sin" else np.cos(2 * np.pi * turn), dtype=np.float64)
