"""Encoded rows of a large table, in a temporary file: the memory that they take does not grow with their number."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LARGE = 128 * 2**20  # bytes of encoded rows, above which they are stored
PART = 64 * 2**20  # bytes that are in memory while training: rows from everywhere, in the order of the epoch
BLOCK = 16 * 2**20  # bytes that are read at a time
SPARSE = 16 * 2**10  # bytes between rows, above which each is read alone
FLOAT = 4  # bytes


class _File:
    """A temporary file, open as long as any rows of it are used."""

    def __init__(self) -> None:
        self.open: Any = tempfile.TemporaryFile(prefix="skedastic-")  # noqa: SIM115
        weakref.finalize(self, self.open.close)


class OnDiskFeatures:
    """Rows float32 [n, d] in a temporary file, which vanishes with the object; or some of its rows, by their positions.

    Rows in random order are not read one by one: the rows of a part of an epoch are gathered in one pass over the file.
    """

    dtype = torch.float32

    def __init__(self, file: _File, count: int, width: int, places: Tensor | None = None) -> None:
        self._file, self._count, self._width, self._places = file, count, width, places

    @classmethod
    def written(cls, blocks: Iterable[NDArray[np.float32]], width: int) -> OnDiskFeatures:
        """Store blocks of rows [m, width], one after the other."""
        file, count = _File(), 0
        for block in blocks:
            file.open.write(np.ascontiguousarray(block, dtype=np.float32).data)
            count += len(block)
        file.open.flush()
        return cls(file, count, width)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, d)."""
        return len(self), self._width

    def __len__(self) -> int:
        return self._count if self._places is None else len(self._places)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Read the examples at positions `rows` [m] int64: [m, d]."""
        places = (rows if self._places is None else self._places[rows]).numpy()
        x = np.empty((len(places), self._width), dtype=np.float32)
        order = np.argsort(places, kind="stable")
        ordered = places[order]
        row_bytes = FLOAT * self._width
        start = 0
        while start < len(order):
            first = int(ordered[start])
            end = int(np.searchsorted(ordered, first + max(1, BLOCK // row_bytes)))
            span = int(ordered[end - 1]) + 1 - first
            if span * row_bytes > SPARSE * (end - start):
                for at in range(start, end):
                    x[order[at]] = self._read(int(ordered[at]), 1)
            else:
                x[order[start:end]] = self._read(first, span)[ordered[start:end] - first]
            start = end
        return torch.from_numpy(x)

    def take(self, rows: Tensor) -> OnDiskFeatures:
        """Return the examples at positions `rows` [m]; nothing is read."""
        return OnDiskFeatures(
            self._file, self._count, self._width, rows if self._places is None else self._places[rows]
        )

    def batches(self, order: Tensor, sizes: Iterable[int]) -> Iterator[Tensor]:
        """Yield examples in the given order, some at a time, from parts of the order that are read at once.

        Parameters
        ----------
        order : Tensor
            The positions of the examples, [m] int64.
        sizes : iterable of int
            The number of examples in each batch.
        """
        ends = np.cumsum([0, *sizes])
        longest = int(np.diff(ends).max(initial=1))
        cuts = [*range(0, len(ends) - 1, max(1, PART // (FLOAT * self._width * longest))), len(ends) - 1]
        for first, last in pairwise(cuts):
            part = self[order[ends[first] : ends[last]]]
            for a, b in pairwise((ends[first : last + 1] - ends[first]).tolist()):
                yield part[a:b]

    def _read(self, first: int, count: int) -> NDArray[np.float32]:
        block = np.empty((count, self._width), dtype=np.float32)
        self._file.open.seek(first * FLOAT * self._width)
        read = self._file.open.readinto(block.data)
        assert read == block.nbytes, "the file is as long as it was written"
        return block
