"""Columns of a table: which hold numbers, which hold categories, and what is refused."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_float_dtype, is_numeric_dtype

from skedastic.errors import UserError

Kind = Literal["number", "category"]
NUMBER: Kind = "number"
CATEGORY: Kind = "category"
MISSING_NUMBER = ("", "na", "n/a", "nan", "null", "none", "?", "-")  # words that stand for a missing number
DATE = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
MOST_CATEGORIES = 1000
LARGEST = float(np.finfo(np.float32).max)
FEW_CATEGORIES = 20  # a column with no more is never taken for free text


@dataclass(frozen=True)
class Place:
    """Where a column comes from, in the user's words; `cell` has a slot for the row, counted from `first`."""

    column: str
    cell: str
    first: int = 0

    def at(self, row: int) -> str:
        """Name the cell of row `row`, counted from 0."""
        return self.cell.format(row + self.first)


def column_place(file: str, column: str, lines: bool) -> Place:
    """Name a column of a file; with `lines` its cells are named by line, the header being line 1, else by row."""
    text = f"{file}: column {column!r}"
    cell = text.replace("{", "{{").replace("}", "}}")
    return Place(text, cell + (", line {}" if lines else ", row {}"), 2 if lines else 0)


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
    values = column.astype(column.cat.categories.dtype) if isinstance(column.dtype, pd.CategoricalDtype) else column
    if is_float_dtype(values.dtype):
        number = values.to_numpy(np.float64, na_value=np.nan)
        whole = np.isfinite(number) & (number == np.round(number)) & (np.abs(number) < 2**53)
        names = np.array([str(v) for v in number], dtype=object)
        names[whole] = [str(int(v)) for v in number[whole]]
    else:
        names = np.array([str(v).strip() for v in values], dtype=object)
    names[column.isna().to_numpy()] = ""
    return names


def as_numbers(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the cells as numbers [n], NaN where missing, and which cells [n] are neither a number nor missing.

    A text column of nothing but true and false is taken as 1 and 0.
    """
    if holds_numbers(column):
        return column.to_numpy(np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    words = pd.Series(as_names(column), dtype=object).str.lower()
    words = words.mask(words.isin(MISSING_NUMBER))
    if words.dropna().isin(("true", "false")).all():
        words = words.map({"true": "1", "false": "0"})
    numbers = pd.to_numeric(words, errors="coerce").to_numpy(np.float64)
    return numbers, np.isnan(numbers) & words.notna().to_numpy()


def kind_of(column: pd.Series, name: str, place: Place) -> Kind:
    """Tell what a feature column holds.

    Raises UserError for dates, free text, nested values, and columns of numbers with cells that are none.
    """
    if holds_numbers(column):
        return NUMBER
    if not is_text(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        raise UserError(f"{place.column} holds dates, times or the like ({column.dtype}); {leave_out(name)}")
    cells = column if column.dtype == object else ()
    nested = next((v for v in cells if isinstance(v, list | dict | bytes | np.ndarray)), None)
    if nested is not None:
        raise UserError(f"{place.column} holds nested values ({type(nested).__name__}); {leave_out(name)}")
    if isinstance(column.dtype, pd.CategoricalDtype):
        return CATEGORY
    return _kind_of_text(column, name, place)


def _kind_of_text(column: pd.Series, name: str, place: Place) -> Kind:
    numbers, unparsable = as_numbers(column)
    numeric, wrong = int(np.isfinite(numbers).sum()), int(unparsable.sum())
    if wrong == 0 and numeric > 0:
        return NUMBER
    if numeric > wrong:
        row = int(unparsable.argmax())
        raise UserError(
            f"{place.at(row)}: {_quoted(column, row)} is not a number, as {numeric} other cells of the column are; "
            f"mend the cell, or {leave_out(name)}"
        )
    names = pd.Series(as_names(column))
    filled = names[names != ""]
    distinct = filled.nunique()
    if len(filled) and filled.str.fullmatch(DATE).mean() > 0.5:
        raise UserError(
            f"{place.column} holds dates ({filled.iloc[0]!r}), which are no features here; {leave_out(name)}"
        )
    if distinct > MOST_CATEGORIES or (distinct > FEW_CATEGORIES and distinct > len(filled) / 2):
        raise UserError(
            f"{place.column} is free text or a name: {distinct} distinct values in {len(filled)} rows "
            f"(such as {filled.iloc[0][:40]!r}); {leave_out(name)}"
        )
    return CATEGORY


def parse(column: pd.Series, kind: Kind, place: Place) -> pd.Series:
    """Return a feature column as float64 (NaN where missing) or as strings ("" where missing).

    Raises UserError for a cell that is no number in a column of numbers, and for numbers that float32 can't hold.
    """
    if kind == CATEGORY:
        return pd.Series(as_names(column), dtype=object)
    numbers, unparsable = as_numbers(column)
    if unparsable.any():
        row = int(unparsable.argmax())
        raise UserError(
            f"{place.at(row)}: {_quoted(column, row)} is not a number, as the column must hold; mend the cell"
        )
    infinite = np.abs(numbers) > LARGEST
    if infinite.any():
        row = int(infinite.argmax())
        rule = f"is not in ±{LARGEST:.2g}, what single precision holds"
        raise UserError(f"{place.at(row)}: {numbers[row]:g} {rule}; mend the cell, or empty it if it is unknown")
    return pd.Series(numbers)


def _quoted(column: pd.Series, row: int) -> str:
    return repr(str(column.iloc[row])[:40])


def clean(frame: pd.DataFrame, file: str, lines: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the feature columns of a table, parsed, and remarks on what was dropped or is missing.

    Constant columns are dropped. Raises UserError as `kind_of` and `parse` do, and where no column is left.
    """
    columns: dict[str, pd.Series] = {}
    constant, counting, holes = [], [], []
    for name in frame.columns:
        place = column_place(file, name, lines)
        parsed = parse(frame[name], kind_of(frame[name], name, place), place)
        if parsed.nunique(dropna=False) < 2:
            constant.append(name)
            continue
        columns[name] = parsed
        missing = int((parsed.isna() | (parsed == "")).sum())
        if missing:
            holes.append(f"{name} ({missing:,} of {len(frame):,})")
        if is_numeric_dtype(parsed.dtype) and len(parsed) > FEW_CATEGORIES and (parsed.diff().dropna() == 1).all():
            counting.append(name)
    if not columns:
        raise UserError(f"{file}: no column is left to learn from; a feature needs at least two different values")
    remarks = {
        "dropped, since every cell is the same": constant,
        "counting up row by row, so perhaps no feature but an index (--ignore it then)": counting,
        "with missing cells, filled with the median of the training rows or kept as a category": holes,
    }
    return pd.DataFrame(columns), tuple(f"columns {what}: {', '.join(c)}" for what, c in remarks.items() if c)
