"""Dates of a table: which cells are some, and which number is the day."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import pandas as pd
from pandas.api.types import is_datetime64_any_dtype

from skedastic.data.tables.location import CellLocation, wrong_cell
from skedastic.data.tables.numbers import MISSING_NUMBER, filled
from skedastic.data.tables.values import coded_texts

DATE = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})( \d{1,2}:\d{2}.*)?"
WHOLE = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}( .*)?"  # the year has four digits
YEAR_LAST = r"^(\d{1,2})([-/.])(\d{1,2})[-/.]\d"  # dates whose day and month can be taken for one another
MONTHS, DAYS = 12, 31
AS_COLUMN = "as the column must hold; mend the cell, or --ignore the column"


def look_like_dates(texts: Sequence[str]) -> bool:
    """Tell whether most of the texts that are not missing look like dates."""
    dated = filled(texts)
    return bool(dated) and sum(map(_is_date, dated)) > len(dated) / 2


def _is_date(text: str) -> bool:
    """Tell whether a text has the form of a date: no part that is a day or a month is 0 or above 31."""
    if not re.fullmatch(DATE, text):
        return False
    return all(0 < int(part) <= DAYS for part in re.findall(r"\d+", text)[:3] if len(part) < 4) or text[:4].isdecimal()


def are_dates(texts: Sequence[str]) -> bool:
    """Tell whether all of the texts are dates, and none can be anything else."""
    return bool(texts) and all(re.fullmatch(WHOLE, t) for t in texts)


def is_day_first(column: pd.Series) -> bool | None:
    """Tell how dates are written: of 3/4/2024 the month is first unless a cell forbids it, of 3.4.2024 the day is.

    None where no cell is written so.
    """
    if is_datetime64_any_dtype(column.dtype):
        return None
    parts = pd.Series(coded_texts(column)[1], dtype=object).str.extract(YEAR_LAST).dropna()
    if parts.empty:
        return None
    if (parts[0].astype(int) > MONTHS).any():
        return True
    return bool((parts[1] == ".").any()) and not (parts[2].astype(int) > MONTHS).any()


def _read_dates(words: pd.Series, day_first: bool) -> pd.Series:
    """Return texts as dates; NaT for one that is none, or that would be one only with day and month the other way."""
    parts = words.str.extract(YEAR_LAST)
    year_last = parts[0].notna()
    month = parts[2 if day_first else 0].astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = pd.to_datetime(words.mask(year_last), errors="coerce", format="mixed", utc=True)
        read[year_last] = pd.to_datetime(
            words[year_last], errors="coerce", format="mixed", dayfirst=day_first, utc=True
        ).mask(month[year_last] > MONTHS)
    return read.dt.tz_localize(None)


def parse_dates(column: pd.Series, place: CellLocation, day_first: bool | None = None) -> pd.Series:
    """Return dates as datetime64 [n], NaT where missing. Raises UserError for a cell that is no date.

    day_first: whether 3/4 is the third of April; by default the cells tell.
    """
    if is_datetime64_any_dtype(column.dtype):
        return pd.Series(pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]"))
    codes, names = coded_texts(column)
    words = pd.Series(names, dtype=object)
    empty = words.str.lower().isin(MISSING_NUMBER)
    dates = _read_dates(words.mask(empty), bool(is_day_first(column) if day_first is None else day_first))
    wrong = (dates.isna() & ~empty).to_numpy()[codes]
    if wrong.any():
        row = int(wrong.argmax())
        order = "" if day_first is None else f", the {'day' if day_first else 'month'} first as in training"
        raise wrong_cell(column, row, place, f"is not a date{order}, {AS_COLUMN}")
    return pd.Series(dates.to_numpy("datetime64[us]")[codes])
