"""Arrays [n, d] as tables: of numbered columns, or of one column of lists, as training had them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.sources.arrays import wrong_shape
from skedastic.data.tables.columns import ColumnKind
from skedastic.data.tables.readers import ArrowReader, ColumnReader, FrameReader, to_series
from skedastic.data.tables.reading import Reading
from skedastic.data.tables.table import Table
from skedastic.errors import UserError

EXACT = ("f4", "f8", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)))  # types that Arrow has too
BYTES = 64 * 2**20  # of a file of arrays that are read at a time


def array_table(
    values: Tensor, name: str, kinds: Mapping[str, ColumnKind] | None = None, reading: Reading | None = None
) -> Table:
    """Return numbers [n, d] as a table.

    Parameters
    ----------
    values : Tensor
        The numbers.
    name : str
        Of the array, in errors.
    kinds : mapping of str to ColumnKind or None, optional
        The feature columns of training, which the table is to have; by default x0, x1, ….
    reading : Reading or None, optional
        How the cells of these columns are read.

    Raises
    ------
    UserError
        Training had another number of features, or columns of other kinds.
    """
    kinds = kinds or {f"x{i}": "number" for i in range(values.shape[1])}
    names = list(kinds)
    lists = reading is not None and are_lists_alone(kinds)
    width = reading.lengths[names[0]] if reading is not None and lists else len(names)
    if not lists and any(kind != "number" for kind in kinds.values()):
        raise UserError(f"must be a frame with the columns {', '.join(names)}, as in training", setting=name)
    if values.ndim != 2 or values.shape[1] != width:
        raise wrong_shape(name, values.shape, f"the model was trained on [n, {width}]; give as many columns")
    if lists:
        return Table(name, ArrowReader(pa.table({names[0]: _lists(values.numpy())})))
    return Table(name, FrameReader(pd.DataFrame(values.double().numpy(), columns=names)))


def are_lists_alone(kinds: Mapping[str, ColumnKind]) -> bool:
    """Tell whether features are one column of lists of numbers."""
    return list(kinds.values()) == ["vector"]


@dataclass(frozen=True, eq=False)
class ArrayFileReader:
    """One column of lists: the rows of an array [n, d] of numbers in a .npy file, read some at a time.

    The file is mapped only while it is read, so that its pages do not stay in memory.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Of the column.
    rows : range
        Of the file.
    """

    path: Path
    name: str
    rows: range

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name of the column."""
        return (self.name,)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, name: str) -> pd.Series:
        """Return the column [n]."""
        return to_series(self.arrow(name))

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of the column."""
        return ArrayFileReader(self.path, name, self.rows[:0]).arrow(name).type

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return the column [n]."""
        mapped = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return pa.chunked_array([_lists(mapped[self.rows.start : self.rows.stop])])

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, at most `size` at a time."""
        mapped = np.load(self.path, mmap_mode="r", allow_pickle=False)
        size = min(size, max(1, BYTES // max(1, mapped.itemsize * mapped.shape[1])))
        del mapped
        for start in range(0, len(self), size):
            yield ArrayFileReader(self.path, self.name, self.rows[start : start + size])


def _lists(values: NDArray[Any]) -> pa.FixedSizeListArray:
    """Return the rows of an array [n, d] as lists, of a type that Arrow has."""
    kind = values.dtype.newbyteorder("=")
    flat = np.array(values, dtype=kind if kind.str[1:] in EXACT else np.float64, order="C").reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), values.shape[1])
