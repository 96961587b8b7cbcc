"""Numbers of a table: cells that are numbers by their type, or that write one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skedastic.data.tables.dress import NO_HINT, PLAIN, THOUSANDS, Dress, Hint, find_dress
from skedastic.data.tables.location import CellLocation, wrong_cell
from skedastic.data.tables.values import TRUTH_VALUES, holds_numbers, is_text, texts_of

MISSING_NUMBER = ("", "na", "n/a", "nan", "null", "none", "?", "-")  # words that stand for a missing number
REAL = (float, np.floating, Decimal)
LARGEST = float(np.finfo(np.float32).max)


def filled(texts: Iterable[str]) -> list[str]:
    """Return the texts but for the words that stand for a missing number."""
    return [text for text in texts if text.lower() not in MISSING_NUMBER]


def as_numbers(
    column: pd.Series, dress: Dress | None = None, hint: Hint = NO_HINT
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the cells as numbers [n], NaN where missing, and whether each is neither a number nor missing, [n] bool.

    A text column of nothing but true and false is taken as 1 and 0.

    Parameters
    ----------
    column : Series
        The cells [n].
    dress : Dress or None, optional
        How numbers are written; by default as the cells themselves tell.
    hint : Hint, optional
        What is known of the table's numbers.
    """
    if holds_numbers(column):
        return column.to_numpy(np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    codes, read = numbers_of(column, dress, hint)
    return read.numbers[codes], read.unparsable[codes]


def dress_of(column: pd.Series, hint: Hint = NO_HINT) -> Dress:
    """Return how the numbers of a column are written; plain where it holds numbers by its type, or none."""
    return PLAIN if holds_numbers(column) else numbers_of(column, None, hint)[1].dress


def hint_for(column: pd.Series, hint: Hint) -> Hint:
    """Return what is known of a column's numbers before they are read."""
    if hint.typed or column.dtype != object or not {float, np.float64, np.float32, Decimal} & set(map(type, column)):
        return hint
    return replace(hint, typed=any(isinstance(cell, REAL) and math.isfinite(cell) and cell % 1 for cell in column))


class Read(NamedTuple):
    """The distinct texts of a column read as numbers.

    Parameters
    ----------
    numbers : ndarray
        [k], NaN where missing or unparsable.
    unparsable : ndarray
        Whether a text is neither a number nor missing, [k] bool.
    dress : Dress
        How the numbers are written.
    typed : bool
        As in `Hint`.
    """

    numbers: NDArray[np.float64]
    unparsable: NDArray[np.bool_]
    dress: Dress
    typed: bool


def numbers_of(column: pd.Series, dress: Dress | None = None, hint: Hint = NO_HINT) -> tuple[NDArray[np.int64], Read]:
    """Return which of its texts each cell is, [n], and these read as numbers; arguments as in `as_numbers`."""
    known = texts_of(column)
    if (dress, hint) not in known.numbers:
        known.numbers[dress, hint] = _read(known.texts, dress, hint_for(column, hint))
    return known.codes, known.numbers[dress, hint]


def _read(texts: Sequence[str], dress: Dress | None, hint: Hint) -> Read:
    words = pd.Series(texts, dtype=object)
    words = words.mask(words.str.lower().isin(MISSING_NUMBER))
    filled = words.notna().to_numpy()
    mixed = dress is not None and dress.decimal == "comma" and hint.typed
    if dress is not None and mixed:
        dress = replace(dress, decimal="point")
    if dress is None or dress == PLAIN:
        numbers = _plain(words)
        if dress is None and ((np.isnan(numbers) & filled).any() or hint.sign == "comma"):
            dress = next(iter(find_dress(words[filled].tolist(), hint)), None)
    if dress is not None and dress != PLAIN:
        numbers = np.full(len(words), np.nan)
        numbers[filled] = dress.numbers(words[filled].tolist())
    unparsable = np.isnan(numbers) & filled
    if mixed:  # what else has a comma, or may have thousands apart, would be read otherwise than in training
        unparsable |= np.array(["," in text or THOUSANDS.fullmatch(text) is not None for text in texts])
    return Read(numbers, unparsable, dress or PLAIN, hint.typed)


def parse_numbers(
    column: pd.Series, place: CellLocation, dress: Dress | None = None, hint: Hint = NO_HINT
) -> tuple[pd.Series, Dress]:
    """Return the cells as float64 [n], NaN where missing, and how they are written.

    Parameters
    ----------
    column : Series
        The cells [n].
    place : CellLocation
        The place of the column, for errors.
    dress : Dress or None, optional
        How numbers are written; by default as the cells themselves tell.
    hint : Hint, optional
        What is known of the table's numbers.

    Raises
    ------
    UserError
        A cell is no number, or single precision can't hold it.
    """
    if holds_numbers(column):
        numbers, found = column.to_numpy(np.float64, na_value=np.nan), dress or PLAIN
    else:
        codes, read = numbers_of(column, dress, hint)
        if read.unparsable.any():
            row = int(read.unparsable[codes].argmax())
            rule = "is not a number, as the column must hold; mend the cell"
            if read.typed and dress is not None and dress.decimal == "comma":
                rule = "may be another number than in training, which wrote a decimal comma, since other cells are "
                rule += "numbers by their type; write all cells alike"
            elif read.typed:
                rule = "is not a number with a decimal point, as other cells are by their type; write all cells alike"
            elif dress == PLAIN and _agree_otherwise(column, hint):
                rule = "is not a number as programs write it, as training wrote the column; write the column so"
            elif dress is not None and dress != PLAIN:
                rule = f"is not a number with a decimal {dress.decimal}, written as in training; write the column so"
            raise wrong_cell(column, row, place, rule)
        numbers, found = read.numbers[codes], read.dress
    check_range(numbers, column, place)
    return pd.Series(numbers), found


def _agree_otherwise(column: pd.Series, hint: Hint) -> bool:
    """Tell whether all cells of a column write numbers, but not as programs do."""
    return not numbers_of(column, None, hint)[1].unparsable.any()


def check_range(numbers: NDArray[np.float64], column: pd.Series, place: CellLocation) -> None:
    """Raise UserError for the first of a column's numbers [n] that single precision can't hold; NaN passes."""
    if max(-np.fmin.reduce(numbers, initial=0.0), np.fmax.reduce(numbers, initial=0.0)) > LARGEST:
        row = int((np.abs(numbers) > LARGEST).argmax())
        rule = f"is not in ±{LARGEST:.2g}, the range of single precision; mend the cell, or empty it if it is unknown"
        cell = column.iloc[row] if is_text(column) else f"{numbers[row]:g}"
        raise place.error(row, f"{cell} {rule}", float(numbers[row]))


def _plain(words: pd.Series) -> NDArray[np.float64]:
    if words.dropna().str.lower().isin(TRUTH_VALUES).all():
        words = words.str.lower().map({"true": "1", "false": "0"})
    return pd.to_numeric(words, errors="coerce").to_numpy(np.float64)
