"""Columns of lists of numbers, such as embeddings of texts and images: lists of one length.

They are read as float32 where that holds every number of their type, else as float64, as columns of numbers are. A
column of text holds lists too where each cell writes one: [0.1, 0.2] as Python and JSON do, [0.1 0.2] as NumPy does.
"""

from __future__ import annotations

import re

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
SAMPLE = 100  # cells that are looked at first
CUT = re.compile(r"\[[-+.,\deE\s]*\.\.\.[-+.,\deE\s]*\]")  # as NumPy prints a long array
SMALL = ("float16", "float32", "int8", "int16", "uint8", "uint16")  # types whose numbers float32 holds
Values = NDArray[np.float32] | NDArray[np.float64]


def holds_vectors(reader: ColumnReader, name: str) -> bool:
    """Tell whether the cells of a column are lists of numbers."""
    if isinstance(reader, FrameReader) and not _first_is_a_list(reader, name):
        return False  # without a copy of the column
    kind = reader.type(name)
    return bool(_is_list(kind) and _is_number(kind.value_type))


def writes_vectors(column: pd.Series) -> bool:
    """Tell whether most of the first cells of a column of text write lists of numbers."""
    if not is_text(column):
        return False
    some = [cell for cell in column.iloc[:SAMPLE].dropna() if isinstance(cell, str) and cell.strip()]
    return sum(bool(_numbers_in(text)) or _is_cut(text) for text in some) > len(some) / 2


def as_lists(cells: pa.ChunkedArray, place: CellLocation) -> pa.ChunkedArray:
    """Return cells [n] as lists of numbers, also those that are text.

    Raises UserError for a text that is no list of numbers.
    """
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        return cells
    lists = list[list[float] | None]()
    for row, text in enumerate(cells.to_pylist()):
        numbers = _numbers_in(text) if text and text.strip() else None
        if text and text.strip() and numbers is None:
            rule = f"{quoted(text)} is no list of numbers, as other cells are; mend it, or empty the cell"
            if _is_cut(text):
                rule = "the list is cut short where it says '...', as NumPy prints it; save it with .tolist()"
            raise place.error(row, rule, text)
        lists.append(numbers)
    return pa.chunked_array([pa.array(lists, pa.list_(pa.float64()))])


def _is_cut(text: str) -> bool:
    return CUT.fullmatch(text.strip()) is not None


def _numbers_in(text: str) -> list[float] | None:
    """Return the numbers of a list as Python, JSON or NumPy write it; None for other text."""
    text = text.strip()
    if text[:1] != "[" or text[-1:] != "]":
        return None
    try:
        return list(map(float, text[1:-1].split("," if "," in text else None)))
    except ValueError:
        return None


def length_of(cells: pa.ChunkedArray, place: CellLocation) -> int | None:
    """Return how many numbers each list [n] holds; None where all of them are missing.

    Raises UserError for a list that differs in length from the first, and for a first one that is empty.
    """
    cells = as_lists(cells, place)
    lengths = pc.list_value_length(cells).drop_null().unique().to_pylist()
    if not lengths:
        return None
    if lengths[0] == 0:
        raise place.error(0, "the list is empty; give each row as many numbers, or --ignore the column")
    check_length(cells, lengths[0], place)
    return int(lengths[0])


def check_length(cells: pa.ChunkedArray, length: int, place: CellLocation) -> None:
    """Raise UserError for the first of the lists [n] that has another length; a missing one passes."""
    other = pc.fill_null(pc.not_equal(pc.list_value_length(cells), length), False)
    row = pc.index(other, True).as_py()
    if row >= 0:
        here = len(cells[row])
        rule = f"the list has {here} number{'s' * (here != 1)}, and others have {length}"
        rule += "; give each row as many, or --ignore the column"
        raise place.error(row, rule, here)


def vectors(cells: pa.ChunkedArray, length: int, place: CellLocation) -> Values:
    """Return lists [n] as numbers [n, length], float32 or float64 as their type needs; NaN where a list is missing.

    Raises UserError for a list of another length, for a number in it that is missing or not finite, and for text that
    is no list.
    """
    cells = as_lists(cells, place)
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
