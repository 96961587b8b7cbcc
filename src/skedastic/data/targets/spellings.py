"""Values that a column writes in several ways: which were read as one, and which look alike but are not."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from skedastic.data.tables.values import canonical, coded, coded_texts

MOST_SHOWN = 3  # values in a note
NUMBER_LIKE = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]{1,3})?", re.IGNORECASE)  # needless zeros and all
BLANK = {"na", "n/a", "#n/a", "<na>", "null", "none", "nat", "(null)", "?", "-"}  # R, SQL, Excel, pandas
MOST_VALUES = 10_000  # of a column, above which nobody reads a note


def spelling_notes(column: pd.Series, name: str, noun: str = "labels") -> tuple[str, ...]:
    """Return notes on the spellings of a column: values that were read as one, and values that look alike.

    Parameters
    ----------
    column : Series
        The cells [n].
    name : str
        The name of the column, in the notes.
    noun : str, optional
        The word for its values.
    """
    codes, values = coded(column)
    if len(values) > MOST_VALUES:
        return ()
    rows = dict(zip(values, np.bincount(codes, minlength=len(values)).tolist(), strict=True))
    return (*_merged(coded_texts(column)[1], name), *_alike(rows, name, noun), *_equal(rows, name), *_blank(rows, name))


def _merged(texts: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the note on texts that differ and write one value."""
    ways = defaultdict[str, list[str]](list)
    for text in texts:
        ways[canonical(text)].append(text)
    merged = [f"{' and '.join(sorted(w))} as {value}" for value, w in ways.items() if len(w) > 1 and value]
    return (f"{name}: equal values are one, {_listed(merged)}",) if merged else ()


def _alike(rows: Mapping[str, int], name: str, noun: str) -> tuple[str, ...]:
    """Return the note on values that differ in case, in spaces, or in how their letters are encoded, only."""
    alike = defaultdict[str, list[str]](list)
    for value in rows:
        alike[unicodedata.normalize("NFKC", " ".join(value.split())).casefold()].append(value)
    found = [_counted(values, rows) for values in alike.values() if len(values) > 1]
    if not found:
        return ()
    return (f"{name}: {noun} that differ in case or spaces only: {_listed(found)}; if they are one, write them alike",)


def _counted(values: Iterable[str], rows: Mapping[str, int]) -> str:
    """Return values with the numbers of their rows, the most frequent first."""
    return ", ".join(f"{v} ({rows[v]:,})" for v in sorted(values, key=rows.__getitem__, reverse=True))


def _equal(rows: Mapping[str, int], name: str) -> tuple[str, ...]:
    """Return the note on values that are one number, or a truth value and its number, but are read as several."""
    equal = defaultdict[Decimal, list[str]](list)
    for value in rows:
        if (number := _number(value)) is not None:
            equal[number].append(value)
    found = [_counted(values, rows) for values in equal.values() if len(values) > 1]
    if not found:
        return ()
    return (f"{name}: values that may be one, but are read as several: {_listed(found)}; if so, write them alike",)


def _number(value: str) -> Decimal | None:
    number = {"True": "1", "False": "0"}.get(value, value)
    return Decimal(number) if number.isascii() and NUMBER_LIKE.fullmatch(number) else None


def _blank(rows: Mapping[str, int], name: str) -> tuple[str, ...]:
    """Return the note on words that programs write for a missing cell, beside other values."""
    found = [f"{value} ({rows[value]:,})" for value in rows if value.lower() in BLANK]
    if not found or len(found) == len(rows):
        return ()
    return (f"{name}: {_listed(found)} is a class as any other; if it stands for no value, empty these cells",)


def _listed(parts: Sequence[str]) -> str:
    more = f"; and {len(parts) - MOST_SHOWN} more" if len(parts) > MOST_SHOWN else ""
    return "; ".join(parts[:MOST_SHOWN]) + more
