"""From cells to values: one name for equal values, however a file writes them.

A class, a group or a category is a value, not a text. 1 in a file of integers, 1.0 where pandas saved a column with an
empty cell, and "1" in CSV are one value, whose name is "1". Names are made when a column is read, by the same rule for
every format and every later file:

- a number has its shortest decimal writing: 1.50 is "1.5", +1 is "1", -0.0 is "0", 1e-05 is "0.00001"
- text that begins with a needless zero, such as "007", is a code and stays as it is; so does 1e5 without sign or point
- true and false, in any case, are "True" and "False"
- bytes are decoded as UTF-8; dates are written YYYY-MM-DD, with the time where there is one
- space around a text is no part of it
- \\N, as databases export it, is a missing cell
"""

from __future__ import annotations

import datetime
import re
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_datetime64_any_dtype, is_numeric_dtype

NUMBER = re.compile(r"([+-]?)(0|[1-9][0-9]*)?(?:(\.)([0-9]*))?(?:e([+-]?)([0-9]{1,3}))?", re.I)  # as programs write one
MOST_DIGITS = 40  # of a number that is written out
SQL_NULL = r"\N"  # of MySQL, PostgreSQL and Hive, in text
EXACT = 2**53  # integers up to here are exact in floating point
VALUES = (str, bool, int, float, np.generic, Decimal, bytes, type(None), type(pd.NA), type(pd.NaT), pd.Interval)
DATES = (datetime.date,)  # times are some of them
NOUNS = {
    list: "lists",
    tuple: "lists",
    np.ndarray: "lists",
    dict: "nested values",
    datetime.date: "dates",
    datetime.datetime: "dates",
    pd.Timestamp: "dates",
    datetime.time: "times of day",
    datetime.timedelta: "spans of time",
    pd.Timedelta: "spans of time",
}
TRUTH_VALUES = {"true": "True", "false": "False"}
BIT_OF = {"True": "1", "False": "0", "1": "True", "0": "False"}  # a truth value among numbers, and the reverse


def holds_numbers(column: pd.Series) -> bool:
    """Tell whether cells are real numbers or booleans by their type."""
    return is_bool_dtype(column.dtype) or (is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype))


def is_text(column: pd.Series) -> bool:
    """Tell whether cells are Python objects or strings, and not numbers, booleans, dates or declared categories."""
    return column.dtype == object or isinstance(column.dtype, pd.StringDtype)


def encodable(text: str) -> str:
    """Return a text with a question mark for each half of a surrogate pair, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def unusable(column: pd.Series, dates: bool = True) -> str | None:
    """Return what a column holds that is no value of a table; None where all of its cells are some.

    Values are text, bytes of text, numbers, truth values and, where `dates` says so, dates.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return unusable(pd.Series(column.cat.categories), dates)
    if is_datetime64_any_dtype(column.dtype):
        return None if dates else "dates"
    if isinstance(column.dtype, (pd.StringDtype, pd.IntervalDtype)):
        return None
    if not is_text(column):
        return None if holds_numbers(column) else f"values of the type {column.dtype}"
    kinds = set(map(type, column))
    other = next((kind for kind in kinds if not issubclass(kind, (*VALUES, *DATES) if dates else VALUES)), None)
    if other is not None:
        return NOUNS.get(other, f"values of the type {other.__name__}")
    return "bytes that are not UTF-8" if bytes in kinds and not _decodable(column) else None


def canonical(text: str) -> str:
    """Return the name of the value that a text writes: the shortest decimal writing of a number, else the text."""
    match = NUMBER.fullmatch(text)
    if match is None:
        return TRUTH_VALUES.get(text.lower(), text)
    sign, whole, point, fraction, way, exponent = match.groups()
    if not whole and not fraction:
        return text
    if exponent:
        if not way and not point:
            return text
        if int(exponent) > MOST_DIGITS:
            return repr(float(text)) if 0 < abs(float(text)) < float("inf") else text
        return canonical(f"{Decimal(text):f}")
    fraction = (fraction or "").rstrip("0")
    shortest = f"{whole or '0'}.{fraction}" if fraction else whole or "0"
    return f"-{shortest}" if sign == "-" and shortest != "0" else shortest


def as_names(column: pd.Series) -> NDArray[Any]:
    """Return the names of the cells [n], "" where missing."""
    codes, names = coded(column)
    return np.array(names, dtype=object)[codes]


def as_text(column: pd.Series) -> pd.Series:
    """Return the cells as they are written, stripped, [n], "" where missing."""
    return pd.Series(
        ["" if m else _of_cell(v) for v, m in zip(column, column.isna(), strict=True)], dtype=object, index=column.index
    )


def coded(column: pd.Series) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the distinct names of `as_names`, and which of them each cell is, [n]."""
    codes, texts = coded_texts(column)
    if not texts or (not is_text(column) and not isinstance(column.dtype, pd.CategoricalDtype)):
        return codes, texts  # written here, and so canonical
    names = tuple(map(canonical, texts))
    if names == texts:
        return codes, texts
    again, distinct = pd.factorize(np.array(names, dtype=object))
    return again.astype(np.int64)[codes], tuple(distinct)


def coded_texts(column: pd.Series) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the distinct cells as they are written, stripped, and which of them each cell is, [n]; "" where missing.

    Typed cells are written by the rule of names; of text this is what the file says.
    """
    known = texts_of(column)
    return known.codes, known.texts


@dataclass(frozen=True, eq=False)
class Texts:
    """The distinct texts of a column, and what is found out about them.

    Parameters
    ----------
    codes : ndarray
        Which text each cell is, [n].
    texts : tuple of str
        The texts [k].
    numbers : dict
        The numbers that they write, by how they are read.
    """

    codes: NDArray[np.int64]
    texts: tuple[str, ...]
    numbers: dict[Any, Any] = field(default_factory=dict)


def texts_of(column: pd.Series) -> Texts:
    """Return the texts of a column; those of the column that was asked for last are kept, as long as it is there."""
    known: Texts | None = _LAST.get(column)
    if known is None:
        known = Texts(*_coded_texts(column))
        _LAST.keep(column, known)
    return known


def _coded_texts(column: pd.Series) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    first, distinct = _distinct(column)
    written = _written(distinct)
    again, texts = pd.factorize(np.append(written, np.array([""], dtype=object)))  # the last is of missing cells
    used = np.zeros(len(texts), dtype=bool)
    used[again[:-1]] = True
    used[again[-1]] |= bool((first < 0).any())
    return (np.cumsum(used) - 1)[again][first], tuple(np.asarray(texts, dtype=object)[used])  # -1 takes the last


class _Last:
    """What was found out about the column that was looked at last, as long as there is this column."""

    def __init__(self) -> None:
        self._kept: tuple[weakref.ref[pd.Series], Any] | None = None  # replaced at once: threads may ask too

    def get(self, column: pd.Series) -> Any:
        kept = self._kept
        return kept[1] if kept is not None and kept[0]() is column else None

    def keep(self, column: pd.Series, found: Any) -> None:
        self._kept = weakref.ref(column, self._forget), found

    def _forget(self, of: weakref.ref[pd.Series]) -> None:
        kept = self._kept
        if kept is not None and kept[0] is of:
            self._kept = None


_LAST = _Last()  # a column is asked for its texts several times, one after the other


def matched(names: Iterable[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Return the positions [n] of names in `known`; -1 where a name is not in it.

    Where nothing but true and false is known, or 1 and 0, each is matched with the other, in any case.
    """
    given, place = list(names), {name: i for i, name in enumerate(known)}
    at = np.array([place.get(name, -1) for name in given], dtype=np.int64)
    if set(known) <= {"True", "False", ""} or set(known) <= {"1", "0", ""}:
        for i in np.flatnonzero(at < 0).tolist():
            truth = TRUTH_VALUES.get(given[i].lower(), given[i])
            at[i] = place.get(truth, place.get(BIT_OF.get(truth, truth), -1))
    return at


def _distinct(column: pd.Series) -> tuple[NDArray[np.int64], pd.Series]:
    """Return the distinct cells, and which of them each cell is, [n]; -1 where it is missing."""
    if column.dtype == object and len(kinds := set(map(type, column))) > 1 and bool in kinds:
        column = column.map(lambda cell: str(cell) if isinstance(cell, bool) else cell)  # True equals 1
    try:
        codes, values = pd.factorize(column, use_na_sentinel=True)
    except TypeError:  # of what has no hash, such as lists
        return np.arange(len(column)), pd.Series([str(v) for v in column], dtype=object)
    return codes.astype(np.int64), pd.Series(values, dtype=object if column.dtype == object else None)


def _written(values: pd.Series) -> NDArray[Any]:
    """Return distinct cells as stripped text, "" where missing."""
    values = values.astype(values.cat.categories.dtype) if isinstance(values.dtype, pd.CategoricalDtype) else values
    cells: Iterable[Any] = values
    if isinstance(values.dtype, pd.StringDtype):
        cells = values.to_numpy(dtype=object)  # in a tenth of the time that its iterator takes
    elif isinstance(values.dtype, np.dtype) and values.dtype.kind == "f":
        cells = values.to_numpy()
    texts = np.array([*map(_of_cell, cells), None], dtype=object)[:-1]
    texts[values.isna().to_numpy()] = ""
    return texts


def _decodable(column: pd.Series) -> bool:
    try:
        for cell in column:
            if isinstance(cell, bytes):
                cell.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _of_cell(cell: Any) -> str:
    if isinstance(cell, str):
        text = cell.strip() if cell.isascii() else encodable(cell).strip()
        return "" if text == SQL_NULL else text
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace").strip()
    if isinstance(cell, Decimal):
        return canonical(f"{cell:f}")
    if isinstance(cell, (float, np.floating)):
        return canonical(str(cell).lower())
    if isinstance(cell, (pd.Timestamp, datetime.date)):
        return _of_date(cell)
    return encodable(str(cell)).strip()


def _of_date(cell: Any) -> str:
    text = str(cell)
    return text.removesuffix(" 00:00:00")
