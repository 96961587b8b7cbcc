"""Columns of a table: numbers, categories, dates or text, and cells that are refused."""

from __future__ import annotations

import re
import shlex
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import (
    is_bool_dtype,
    is_complex_dtype,
    is_datetime64_any_dtype,
    is_float_dtype,
    is_numeric_dtype,
    is_timedelta64_dtype,
)

from skedastic.errors import UserError

ColumnKind = Literal["number", "category", "date", "text"]
COLUMN_KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)
MISSING_NUMBER = ("", "na", "n/a", "nan", "null", "none", "?", "-")  # words that stand for a missing number
DATE = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})( \d{1,2}:\d{2}.*)?"
LARGEST = float(np.finfo(np.float32).max)
FEW_CATEGORIES = 20  # a column with no more is never taken for free text, nor for names
TEXT_WORDS, TEXT_LETTERS = 4, 60  # a column of mostly different cells, so long on average, is text
MONTHS = 12
SAMPLE = 1000  # cells that are looked at to tell


@dataclass(frozen=True)
class CellLocation:
    """The place of a column and of its cells, in the user's words.

    Parameters
    ----------
    column : str
        The column, such as "good.csv, column 'price'".
    cell : str
        A cell, with slots {file} and {row}, such as "{file}, line {row}, column 'price'".
    file : str
        The file that the cells are in.
    first : int
        The number of the first row.
    files : tuple of (str, int)
        The name and the number of rows of each file, where there are several.
    """

    column: str
    cell: str
    file: str = ""
    first: int = 0
    files: tuple[tuple[str, int], ...] = ()

    def at(self, row: int) -> str:
        """Name the cell of row `row`, counted from 0."""
        if not self.files:
            return self.cell.format(file=self.file, row=row + self.first)
        starts = np.cumsum([0, *(rows for _, rows in self.files)]).tolist()
        part = min(bisect_right(starts, row) - 1, len(self.files) - 1)
        return self.cell.format(file=self.files[part][0], row=row - starts[part] + self.first)

    def error(self, row: int, rule: str, value: object = None) -> UserError:
        """Return the error about the cell of row `row`, counted from 0; the rule quotes its value."""
        return UserError(rule, setting=self.at(row), value=value, given=self.at(row))


def column_place(file: str, column: str, lines: bool, files: tuple[tuple[str, int], ...] = ()) -> CellLocation:
    """Name a column of a file; with `lines` its cells are named by line, the header being line 1, else by row."""
    name = literal(f"column {column!r}")
    cell = f"{{file}}, {'line' if lines else 'row'} {{row}}, {name}"
    return CellLocation(f"{file}, column {column!r}", cell, file, 2 if lines else 0, files)


def literal(text: str) -> str:
    """Return a template that formats to `text`, braces and all."""
    return text.replace("{", "{{").replace("}", "}}")


def leave_out(column: str) -> str:
    """Name the way out of a column that can't be used."""
    return f"leave the column out with --ignore {shlex.quote(column)}"


def holds_numbers(column: pd.Series) -> bool:
    """Tell whether cells are real numbers or booleans by their type."""
    return is_bool_dtype(column.dtype) or (is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype))


def is_text(column: pd.Series) -> bool:
    """Tell whether cells are Python objects or strings, and not numbers, booleans, dates or declared categories."""
    return column.dtype == object or isinstance(column.dtype, pd.StringDtype)


def as_names(column: pd.Series) -> NDArray[Any]:
    """Return the cells as stripped strings [n], "" where missing; whole numbers have no decimal point."""
    codes, names = coded(column)
    return np.array(names, dtype=object)[codes]


def coded(column: pd.Series) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the distinct names of `as_names`, and which of them each cell is, [n]."""
    first, distinct = _distinct(column)
    written = _written(distinct)
    again, names = pd.factorize(np.append(written, np.array([""], dtype=object)))  # the last is of missing cells
    used = np.zeros(len(names), dtype=bool)
    used[again[:-1]] = True
    used[again[-1]] |= bool((first < 0).any())
    return (np.cumsum(used) - 1)[again][first], tuple(np.asarray(names, dtype=object)[used])  # -1 takes the last


def encodable(text: str) -> str:
    """Return a text with a question mark for each half of a surrogate pair, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _distinct(column: pd.Series) -> tuple[NDArray[np.int64], pd.Series]:
    """Return the distinct cells, and which of them each cell is, [n]; -1 where it is missing."""
    try:
        codes, values = pd.factorize(column, use_na_sentinel=True)
    except TypeError:  # of what has no hash, such as lists
        return np.arange(len(column)), pd.Series([str(v) for v in column], dtype=object)
    return codes.astype(np.int64), pd.Series(values, dtype=object if column.dtype == object else None)


def _written(values: pd.Series) -> NDArray[Any]:
    values = values.astype(values.cat.categories.dtype) if isinstance(values.dtype, pd.CategoricalDtype) else values
    if is_float_dtype(values.dtype):
        number = values.to_numpy(np.float64, na_value=np.nan)
        whole = np.isfinite(number) & (number == np.round(number)) & (np.abs(number) < 2**53)
        names = np.array([str(v) for v in number], dtype=object)
        names[whole] = [str(int(v)) for v in number[whole]]
    else:
        names = np.array([encodable(str(v)).strip() for v in values], dtype=object)
    names[values.isna().to_numpy()] = ""
    return names


def as_numbers(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the cells as numbers [n], NaN where missing, and whether each is neither a number nor missing, [n] bool.

    A text column of nothing but true and false is taken as 1 and 0.
    """
    if holds_numbers(column):
        return column.to_numpy(np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    codes, names = coded(column)
    numbers, unparsable = _numbers_of(names)
    return numbers[codes], unparsable[codes]


def _numbers_of(names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return what `as_numbers` does, of the distinct names of a column."""
    words = pd.Series(names, dtype=object).str.lower()
    words = words.mask(words.isin(MISSING_NUMBER))
    if words.dropna().isin(("true", "false")).all():
        words = words.map({"true": "1", "false": "0"})
    numbers = pd.to_numeric(words, errors="coerce").to_numpy(np.float64)
    return numbers, np.isnan(numbers) & words.notna().to_numpy()


def kind_of(column: pd.Series, name: str, place: CellLocation) -> ColumnKind | None:
    """Return the kind of a feature column; None for names, such as a person's or a number plate, which tell nothing.

    Raises UserError for nested values, spans of time, and columns of numbers with a few cells that are none.
    """
    if holds_numbers(column):
        return "number"
    if is_datetime64_any_dtype(column.dtype):
        return "date"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category"
    if not is_text(column) or is_timedelta64_dtype(column.dtype):
        rule = f"it holds values that can't be features ({column.dtype}); {leave_out(name)}"
        raise UserError(rule, setting=place.column, value=str(column.dtype), given=place.column)
    _refuse_nested(column, name, place)
    return _kind_of_text(column, name, place)


def _refuse_nested(column: pd.Series, name: str, place: CellLocation) -> None:
    cells = column if column.dtype == object else ()
    nested = next((v for v in cells if isinstance(v, list | dict | bytes | np.ndarray)), None)
    if nested is not None:
        kind = type(nested).__name__
        rule = f"it holds nested values ({kind}); {leave_out(name)}"
        raise UserError(rule, setting=place.column, value=kind, given=place.column)


def _kind_of_text(column: pd.Series, name: str, place: CellLocation) -> ColumnKind | None:
    codes, names = coded(column)
    cells_of = np.bincount(codes, minlength=len(names))  # of each name
    numbers, unparsable = _numbers_of(names)
    numeric, wrong = int(cells_of[np.isfinite(numbers)].sum()), int(cells_of[unparsable].sum())
    if wrong == 0 and numeric > 0:
        return "number"
    if numeric > wrong:
        row = int(unparsable[codes].argmax())
        rule = (
            f"is not a number, as {numeric} other cells of the column are; mend the cell, take the column as words "
            f"with --categorical {shlex.quote(name)}, or {leave_out(name)}"
        )
        raise _wrong_cell(column, row, place, rule)
    filled = [n for n in names if n]
    cells = int(cells_of[[bool(n) for n in names]].sum())
    sample = filled[:: max(1, len(filled) // SAMPLE)]
    dated = [s for s in sample if s.lower() not in MISSING_NUMBER]
    if dated and sum(bool(re.fullmatch(DATE, s)) for s in dated) > len(dated) / 2:
        return "date"
    if len(filled) <= FEW_CATEGORIES or len(filled) <= cells / 2:
        return "category"
    words, letters = np.mean([len(s.split()) for s in sample]), np.mean([len(s) for s in sample])
    return "text" if words >= TEXT_WORDS or letters >= TEXT_LETTERS else None


def parse(column: pd.Series, kind: ColumnKind, place: CellLocation, day_first: bool | None = None) -> pd.Series:
    """Return a feature column in the type of its kind.

    Numbers become float64, NaN where missing. Categories become a pandas category of strings, "" where missing. Dates
    become datetime64, NaT where missing. Text becomes strings, "" where missing.

    Parameters
    ----------
    column : Series
        The cells [n].
    kind : ColumnKind
        The kind of the column.
    place : CellLocation
        The place of the column, for errors.
    day_first : bool or None, optional
        Whether 3/4 is the third of April; by default the cells tell.

    Raises
    ------
    UserError
        A cell can't be of the kind.
    """
    if kind == "category":
        codes, names = coded(column)
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(names)))
    if kind == "text":
        return pd.Series(
            ["" if m else encodable(str(v)).strip() for v, m in zip(column, column.isna(), strict=True)], dtype=object
        )
    return _dates(column, place, day_first) if kind == "date" else _numbers(column, place)


def _numbers(column: pd.Series, place: CellLocation) -> pd.Series:
    numbers, unparsable = as_numbers(column)
    if unparsable.any():
        row = int(unparsable.argmax())
        raise _wrong_cell(column, row, place, "is not a number, as the column must hold; mend the cell")
    if max(-np.fmin.reduce(numbers, initial=0.0), np.fmax.reduce(numbers, initial=0.0)) > LARGEST:
        row = int((np.abs(numbers) > LARGEST).argmax())
        rule = f"is not in ±{LARGEST:.2g}, the range of single precision; mend the cell, or empty it if it is unknown"
        raise place.error(row, f"{numbers[row]:g} {rule}", float(numbers[row]))
    return pd.Series(numbers)


def is_day_first(column: pd.Series) -> bool:
    """Tell how dates are written: of 3/4/2024 the month is first unless a cell forbids it, of 3.4.2024 the day is."""
    if is_datetime64_any_dtype(column.dtype):
        return False
    words = pd.Series(coded(column)[1], dtype=object)
    parts = words.str.extract(r"^(\d{1,2})([-/.])(\d{1,2})[-/.]\d").dropna()
    if (parts[0].astype(int) > MONTHS).any():
        return True
    return bool((parts[1] == ".").any()) and not (parts[2].astype(int) > MONTHS).any()


def _read_dates(words: pd.Series, day_first: bool) -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dates that say themselves which number is the day
        read = pd.to_datetime(words, errors="coerce", format="mixed", dayfirst=day_first, utc=True)
    return read.dt.tz_localize(None)


def _dates(column: pd.Series, place: CellLocation, day_first: bool | None) -> pd.Series:
    if is_datetime64_any_dtype(column.dtype):
        return pd.Series(pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]"))
    codes, names = coded(column)
    words = pd.Series(names, dtype=object)
    empty = words.str.lower().isin(MISSING_NUMBER)
    dates = _read_dates(words.mask(empty), is_day_first(column) if day_first is None else day_first)
    wrong = (dates.isna() & ~empty).to_numpy()[codes]
    if wrong.any():
        row = int(wrong.argmax())
        raise _wrong_cell(column, row, place, "is not a date, as the column must hold; mend the cell")
    return pd.Series(dates.to_numpy("datetime64[us]")[codes])


def kind_of_parsed(column: pd.Series) -> ColumnKind:
    """Return the kind of a column that `parse` gave: its type tells."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category"
    if is_datetime64_any_dtype(column.dtype):
        return "date"
    return "number" if is_numeric_dtype(column.dtype) else "text"


def is_constant(column: pd.Series) -> bool:
    """Tell whether all cells of a parsed column are the same; a missing one is as any other."""
    kind = kind_of_parsed(column)
    if kind == "category":
        return len(column.cat.categories) < 2
    if kind == "number":
        values = column.to_numpy(np.float64)
        return bool((values == values[:1]).all() or np.isnan(values).all())
    return column.nunique(dropna=False) < 2


def missing(column: pd.Series) -> int:
    """Return how many cells of a parsed column are missing."""
    return int(
        column.isna().sum() + (column == "").sum() if kind_of_parsed(column) != "number" else column.isna().sum()
    )


def quoted(cell: object) -> str:
    """Return a cell as errors quote it."""
    return repr(str(cell)[:40])


def _wrong_cell(column: pd.Series, row: int, place: CellLocation, rule: str) -> UserError:
    """Return the error about a cell that a column can't hold."""
    cell = str(column.iloc[row])
    return place.error(row, f"{quoted(cell)} {rule}", cell)
