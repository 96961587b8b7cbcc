"""Columns of a table: numbers, categories, dates or text, and cells that are refused."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_datetime64_any_dtype, is_integer_dtype, is_numeric_dtype

from skedastic.data.tables.dates import look_like_dates, parse_dates
from skedastic.data.tables.dress import NO_HINT, PLAIN, Dress, Hint, find_dress
from skedastic.data.tables.location import CellLocation, wrong_cell
from skedastic.data.tables.numbers import numbers_of, parse_numbers
from skedastic.data.tables.values import EXACT, as_text, canonical, coded, coded_texts, holds_numbers, unusable
from skedastic.errors import UserError

ColumnKind = Literal["number", "category", "date", "text", "vector"]
COLUMN_KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)
FEW_CATEGORIES = 20  # a column with no more is never taken for free text, nor for names
TEXT_WORDS, TEXT_LETTERS = 4, 60  # a column of mostly different cells, so long on average, is text
SHORT_TEXT_WORDS = 1.5  # of letters alone: so is one of titles or products, of which half hold a word of others
OF_OTHERS = (3, 1 / 2)  # cells that such a word is in at least, and the share of them at most
WORD = re.compile(r"(?<![^\W_])[^\W\d_]{3,}\d?(?![^\W_])")  # ids, number plates and serials have few
WITHOUT_SPACES = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)  # kana, Han, Thai, Lao, Burmese, Khmer
SAMPLE = 1000  # cells that are looked at to tell


def leave_out(column: str) -> str:
    """Name the way out of a column that can't be used."""
    return f"leave the column out with --ignore {shlex.quote(column)}"


def kind_of(column: pd.Series, name: str, place: CellLocation, hint: Hint = NO_HINT) -> ColumnKind | None:
    """Return the kind of a feature column; None for names, such as a number plate, that have nothing in common.

    Raises UserError for nested values, spans of time, and columns of numbers with a few cells that are none.
    """
    if holds_numbers(column) and not _merges_integers(column):
        return "number"
    if is_datetime64_any_dtype(column.dtype):
        return "date"
    if (what := unusable(column)) is not None:
        rule = f"it holds {what}, which can't be a feature; {leave_out(name)}"
        raise UserError(rule, setting=place.column, value=what, given=place.column)
    return "category" if isinstance(column.dtype, pd.CategoricalDtype) else _kind_of_text(column, name, place, hint)


def _kind_of_text(column: pd.Series, name: str, place: CellLocation, hint: Hint) -> ColumnKind | None:
    codes, texts = coded_texts(column)
    cells_of = np.bincount(codes, minlength=len(texts))  # of each text
    numbers, unparsable, dress, typed = numbers_of(column, hint=hint)[1]
    numeric, wrong = int(cells_of[np.isfinite(numbers)].sum()), int(cells_of[unparsable].sum())
    if wrong == 0 and numeric > 0 and not _merge(texts, numbers, dress):
        return "number"
    if numeric and wrong and (numeric > wrong or (typed and _by_comma(texts, unparsable))):
        row = int(unparsable[codes].argmax())
        rule = (
            f"is not a number, as {numeric} other cells of the column are; mend the cell, take the column as words "
            f"with --categorical {shlex.quote(name)}, or {leave_out(name)}"
        )
        raise wrong_cell(column, row, place, rule)
    filled = [t for t in texts if t]
    cells = int(cells_of[[bool(t) for t in texts]].sum())
    sample = _sample(filled)
    if look_like_dates(sample):
        return "date"
    if len(filled) <= FEW_CATEGORIES or len(filled) <= cells / 2:
        return "category"
    return "text" if is_long(sample) or _share_words(sample) else None


def is_long(texts: Sequence[str]) -> bool:
    """Tell whether texts are sentences rather than titles or names: of four words or sixty letters on average.

    Parameters
    ----------
    texts : sequence of str
        At least one; of many some are looked at.
    """
    some = _sample(texts)
    return bool(np.mean([_words(t) for t in some]) >= TEXT_WORDS or np.mean([len(t) for t in some]) >= TEXT_LETTERS)


def _sample(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(1, len(texts) // SAMPLE)]


def _share_words(texts: Sequence[str]) -> bool:
    """Tell whether half of the texts hold a word that a few others hold too, as titles do, and ids do not."""
    held = [{*WORD.findall(text.lower())} for text in texts]
    found = Counter(word for words in held for word in words)
    least, share = OF_OTHERS
    common = {word for word, count in found.items() if least <= count <= share * len(texts)}
    several = np.mean([len(words) for words in held]) >= SHORT_TEXT_WORDS
    return bool(several and np.mean([not common.isdisjoint(words) for words in held]) >= 1 / 2)


def _words(text: str) -> float:
    """Return about how many words a text has; in scripts without spaces a word is of two characters."""
    return len(text.split()) + len(WITHOUT_SPACES.findall(text)) / 2


def _by_comma(texts: Sequence[str], chosen: NDArray[np.bool_]) -> bool:
    """Tell whether the chosen texts are numbers with a decimal comma."""
    return bool(find_dress([text for text, its in zip(texts, chosen, strict=True) if its], Hint("comma")))


def _merges_integers(column: pd.Series) -> bool:
    """Tell whether different integers are one number in floating point: ids of more than 15 digits."""
    if not is_integer_dtype(column.dtype):
        return False
    known = column.dropna()
    if not len(known) or max(abs(int(known.min())), abs(int(known.max()))) < EXACT:
        return False
    return int(known.nunique()) > len(np.unique(known.to_numpy(np.float64)))


def _merge(texts: Sequence[str], numbers: NDArray[np.float64], dress: Dress) -> bool:
    """Tell whether different integers among texts [k] are one number of [k]."""
    large = np.flatnonzero(np.abs(np.nan_to_num(numbers)) >= EXACT).tolist()
    written = {canonical(texts[i] if dress == PLAIN else dress.plain(texts[i]) or "") for i in large}
    return len(written) > len(np.unique(numbers[large])) and all(text.lstrip("-").isdecimal() for text in written)


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
        return as_text(column)
    return parse_dates(column, place, day_first) if kind == "date" else parse_numbers(column, place)[0]


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
