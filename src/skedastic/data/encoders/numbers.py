"""Numbers and dates as a network reads them: imputed and standardized, a date as its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.tables.table import Columns

MOST_VALUES = 4_000_000  # numbers that are fitted at a time
Values = NDArray[np.float64]


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, or a part of a date: imputed by the median and standardized, by scikit-learn's transformers.

    Parameters
    ----------
    name : str
        The column.
    part : str
        The part of a date: "days" since 1970, or the sine or cosine of the time in the year, the week or the day. Empty
        for a column of numbers.
    median, mean, scale : float
        The median, and the mean and the deviation after imputing, of the training rows.
    marked : bool
        Whether some training cells are missing; another column then says which cells are.
    """

    name: str
    part: str
    median: float
    mean: float
    scale: float
    marked: bool

    def cells(self, columns: Columns, rows: Tensor | None) -> Values:
        """Return the numbers [m] of rows, NaN where missing."""
        return _numbers(columns, self.name, self.part, rows)

    def encoded(self, values: Values) -> Iterator[Values]:
        """Yield the columns that stand for the cells [n]."""
        missing = np.isnan(values)
        yield (np.where(missing, self.median, values) - self.mean) / self.scale
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
    """Fit on training rows, some columns at a time: each by its name and part."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    n = len(columns) if rows is None else len(rows)
    if n > MOST_VALUES:
        return tuple(_fitted_alone(name, part, _numbers(columns, name, part, rows)) for name, part in numbers)
    at_once = max(1, MOST_VALUES // max(n, 1))
    fitted = list[NumberColumn]()
    for start in range(0, len(numbers), at_once):
        some = numbers[start : start + at_once]
        values = np.stack([_numbers(columns, name, part, rows) for name, part in some], axis=1)
        imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(values)
        scaler = StandardScaler().fit(imputer.transform(values))
        holes = np.asarray(np.isnan(values).any(axis=0))
        for i, (name, part) in enumerate(some):
            median, mean, scale = (float(a[i]) for a in (imputer.statistics_, scaler.mean_, scaler.scale_))
            fitted.append(NumberColumn(name, part, median, mean, scale, bool(holes[i]) and not part))
    return tuple(fitted)


def _fitted_alone(name: str, part: str, values: Values) -> NumberColumn:
    """Fit to one long column [n], with few copies of it, as SimpleImputer and StandardScaler would."""
    from sklearn.preprocessing import StandardScaler

    known = values[~np.isnan(values)]
    holes = len(known) < len(values)
    median = float(np.median(known, overwrite_input=True)) if len(known) else 0.0
    del known
    scaler = StandardScaler()
    for start in range(0, len(values), MOST_VALUES):
        some = values[start : start + MOST_VALUES, None]
        scaler.partial_fit(np.where(np.isnan(some), median, some))
    return NumberColumn(name, part, median, float(scaler.mean_[0]), float(scaler.scale_[0]), holes and not part)


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
