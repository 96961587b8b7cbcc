"""Columns of numbers that look like codes or ids, such as a postcode: their order and their distances mean nothing."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skedastic.data.tables.values import coded_texts, is_text

WORDS = {"id", "ids", "uuid", "guid", "key", "code", "zip", "zipcode", "postcode", "postal", "plz", "phone", "sku"}
LEADING_ZERO = re.compile(r"0[0-9]+")
LEAST_DIGITS = 5  # of an id that its name does not tell


def looks_like_codes(name: str, cells: pd.Series, numbers: NDArray[np.float64]) -> bool:
    """Tell whether a column of numbers is rather one of codes.

    It is one where all are whole and its name says so, where some begin with a zero, or where all are different and
    have as many digits, at least 5.

    Parameters
    ----------
    name : str
        The name of the column.
    cells : Series
        The cells as they are written, [n].
    numbers : ndarray
        The numbers that they were read as, [n].
    """
    known = numbers[~np.isnan(numbers)]
    if not len(known) or (known != np.floor(known)).any() or (known < 0).any():
        return False
    words = re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    if WORDS.intersection(words) and len(np.unique(known)) > 2:
        return True
    if is_text(cells) and any(map(LEADING_ZERO.fullmatch, coded_texts(cells)[1])):
        return True
    digits = np.floor(np.log10(np.maximum(known, 1)))
    alike = bool(digits[0] + 1 >= LEAST_DIGITS and (digits == digits[0]).all())
    return alike and len(np.unique(known)) == len(known)
