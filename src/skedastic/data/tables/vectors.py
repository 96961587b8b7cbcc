"""Columns of lists of numbers, such as embeddings of texts and images: lists of one length.

They are read as float32 where that holds every number of their type, else as float64, as columns of numbers are. A
column of text holds lists too where each cell writes one: [0.1, 0.2] as Python and JSON do, [0.1 0.2] as NumPy does,
and [np.float32(0.1), np.float32(0.2)] as Python writes a list of NumPy's numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.tables.location import CellLocation, quoted
from skedastic.data.tables.numbers import LARGEST
from skedastic.data.tables.readers import ColumnReader, FrameReader
from skedastic.data.tables.values import is_text

LISTS = (list, tuple, np.ndarray)
SAMPLE, MOST = 100, 0.9  # cells of text that are looked at first, and the share of them that are lists
AS_WORDS = "take the column as words with --categorical or --text, or leave it out with --ignore"
LIST = pa.list_(pa.float64())
PLAIN_LIST = r"^\[[-+.,\deE\s]*\]$"
CUT = re.compile(r"\[[-+.,\deE\s]*\.\.\.[-+.,\deE\s]*\]")  # as NumPy prints a long array
SCALAR = re.compile(r"np\.(?:float|u?int)\d+\(([-+.\deE]+)\)")  # as NumPy 2 writes a number within a list
SMALL = ("float16", "float32", "int8", "int16", "uint8", "uint16")  # types whose numbers float32 holds
Values = NDArray[np.float32] | NDArray[np.float64]


def holds_vectors(reader: ColumnReader, name: str) -> bool:
    """Tell whether the cells of a column are lists of numbers."""
    if isinstance(reader, FrameReader) and not _first_is_a_list(reader, name):
        return False  # without a copy of the column
    kind = reader.type(name)
    return bool(_is_list(kind) and _is_number(kind.value_type))


def writes_vectors(column: pd.Series) -> bool:
    """Tell whether most of the first filled cells of a column of text write lists of as many numbers, two at least."""
    if not is_text(column):
        return False
    filled = (cell for cell in column if isinstance(cell, str) and cell.strip())
    some = list(islice(filled, SAMPLE))
    if sum(map(_is_cut, some)) > MOST * len(some):
        return True
    length, count = Counter(len(_numbers_in(text) or ()) for text in some).most_common(1)[0] if some else (0, 0)
    return length > 1 and count > MOST * len(some)


def as_lists(cells: pa.ChunkedArray, place: CellLocation) -> pa.ChunkedArray:
    """Return cells [n] as lists of numbers, also those that are text.

    Raises UserError for a text that is no list of numbers.
    """
    if pa.types.is_null(cells.type):
        return cells.cast(LIST)
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        return cells
    if (quick := _quickly(cells)) is not None:
        return quick
    lists = list[list[float] | None]()
    for row, text in enumerate(cells.to_pylist()):
        numbers = _numbers_in(text) if text and text.strip() else None
        if text and text.strip() and numbers is None:
            rule = f"{quoted(text)} is no list of numbers, as other cells are; mend it, or {AS_WORDS}"
            if _is_cut(text):
                rule = "the list is cut short where it says '...', as NumPy prints it; save it with .tolist()"
            raise place.error(row, rule, text)
        lists.append(numbers)
    return pa.chunked_array([pa.array(lists, LIST)])


def _quickly(cells: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return texts as lists where all are as Python and JSON write them, or all as NumPy does; else None."""
    filled = pc.utf8_trim_whitespace(cells)
    filled = pc.if_else(pc.equal(filled, ""), None, filled)
    if not pc.all(pc.match_substring_regex(filled, PLAIN_LIST)).as_py():
        return None
    inner = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(filled, 1, -1))
    has_comma = pc.match_substring(inner, ",")
    if pc.any(has_comma).as_py() != pc.all(has_comma).as_py():
        return None
    chunks = []
    parts = pc.split_pattern(inner, ",") if pc.any(has_comma).as_py() else pc.utf8_split_whitespace(inner)
    for chunk in parts.chunks:
        try:
            numbers = pc.cast(pc.utf8_trim_whitespace(chunk.flatten()), pa.float64())
        except pa.ArrowInvalid:
            return None
        lengths = pc.fill_null(pc.list_value_length(chunk), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        chunks.append(pa.ListArray.from_arrays(offsets, numbers, mask=chunk.is_null()))
    return pa.chunked_array(chunks, LIST)


def _is_cut(text: str) -> bool:
    return CUT.fullmatch(text.strip()) is not None


def _numbers_in(text: str) -> list[float] | None:
    """Return the numbers of a list as Python, JSON or NumPy write it; None for other text."""
    text = text.strip()
    if text.startswith("[np."):
        text = SCALAR.sub(r"\1", text)
    if text[:1] != "[" or text[-1:] != "]" or "_" in text:  # 1_000 is a number to Python alone
        return None
    try:
        return list(map(float, text[1:-1].split("," if "," in text else None)))
    except ValueError:
        return None


def length_of(cells: pa.ChunkedArray, place: CellLocation) -> int | None:
    """Return how many numbers each list [n] holds; None where all of them are missing.

    Raises UserError for a list that differs in length from the first, and for a first one that is empty.
    """
    lengths = pc.list_value_length(cells).drop_null().unique().to_pylist()
    if not lengths:
        return None
    if lengths[0] == 0:
        row = pc.index(pc.list_value_length(cells), 0).as_py()
        raise place.error(row, "the list is empty; give each row as many numbers, or --ignore the column")
    check_length(cells, lengths[0], place)
    return int(lengths[0])


def check_length(cells: pa.ChunkedArray, length: int, place: CellLocation) -> None:
    """Raise UserError for the first of the lists [n] that has another length; a missing one passes."""
    other = pc.fill_null(pc.not_equal(pc.list_value_length(cells), length), False)
    row = pc.index(other, True).as_py()
    if row >= 0:
        here = len(cells[row])
        rule = f"the list has {here} number{'s' * (here != 1)}, and others have {length}"
        rule += f"; give each row as many, or {AS_WORDS}"
        raise place.error(row, rule, here)


def vectors(cells: pa.ChunkedArray, length: int, place: CellLocation) -> Values:
    """Return lists [n] as numbers [n, length], float32 or float64 as their type needs; NaN where a list is missing.

    Raises UserError for a list of another length, and for a number in it that is missing or not finite.
    """
    check_length(cells, length, place)
    kind = np.float32 if cells.type.value_type.to_pandas_dtype().__name__ in SMALL else np.float64
    out = np.full((len(cells), length), np.nan, dtype=kind)
    first = 0
    for chunk in cells.chunks:
        filled = np.asarray(chunk.is_valid())
        values = chunk.flatten().to_numpy(zero_copy_only=False).astype(kind, copy=False).reshape(-1, length)
        wrong = ~(np.abs(values) <= LARGEST).all(axis=1)
        if wrong.any():
            row = first + int(np.flatnonzero(filled)[wrong.argmax()])
            raise place.error(row, "the list holds a number that is missing or not finite; mend it")
        out[first : first + len(chunk)][filled] = values
        first += len(chunk)
    return out


def _first_is_a_list(reader: FrameReader, name: str) -> bool:
    column = reader.frame.iloc[:, reader.names.index(name)]
    if hasattr(column.dtype, "pyarrow_dtype"):
        return True
    filled = np.flatnonzero(column.notna().to_numpy())[:1].tolist() if column.dtype == object else []
    return bool(filled) and isinstance(column.iloc[filled[0]], (*LISTS, Tensor))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
