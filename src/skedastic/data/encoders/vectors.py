"""Lists of numbers as a network reads them: centred and scaled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.encoders.common_scale import proportions
from skedastic.data.tables.table import Columns
from skedastic.data.tables.vectors import Values


@dataclass(frozen=True)
class VectorColumn:
    """A column of lists of d numbers: standardized by scikit-learn's StandardScaler; a missing list is the mean.

    Long lists of numbers of one kind keep their proportions (`skedastic.data.encoders.common_scale`).

    Parameters
    ----------
    name : str
        The column.
    mean, scale : tuple of float
        The mean of each place in the list, of the training rows, and what it is divided by, [d].
    marked : bool
        Whether some training lists are missing; another column then says which are.
    """

    name: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    marked: bool

    @classmethod
    def fit(cls, columns: Columns, name: str, rows: Tensor | None) -> VectorColumn:
        """Fit on training rows [m] int64, or on all; they are read a part at a time.

        Parameters
        ----------
        columns : Columns
            The feature columns.
        name : str
            The column.
        rows : Tensor or None
            The training rows.
        """
        from sklearn.preprocessing import StandardScaler

        wanted = np.ones(len(columns), dtype=bool)
        if rows is not None:
            wanted[:] = False
            wanted[rows.numpy()] = True
        scaler, first, marked = StandardScaler(), 0, False
        for part in columns.vector_parts(name):
            some = part[wanted[first : first + len(part)]]
            first += len(part)
            if len(some):
                scaler.partial_fit(some.astype(np.float64))
                marked |= bool(np.isnan(some[:, 0]).any())
        mean, scale = (np.nan_to_num(a, nan=fill).tolist() for a, fill in ((scaler.mean_, 0.0), (scaler.scale_, 1.0)))
        varies = np.nan_to_num(scaler.var_, nan=0.0) > 0
        weights = proportions(np.where(varies, scale, 0.0).tolist())
        return cls(name, tuple(mean), tuple((np.asarray(scale) / weights).tolist()), marked)

    @property
    def width(self) -> int:
        """Return how many columns stand for a list."""
        return len(self.mean) + self.marked

    def scaled_by(self, factor: float) -> VectorColumn:
        """Return the column with its numbers multiplied by a factor above 0."""
        return replace(self, scale=tuple(scale / factor for scale in self.scale))

    def scaled(self, values: Values) -> NDArray[np.float32]:
        """Return lists [n, d] standardized in double precision, as columns of numbers are, NaN where missing."""
        scaled = np.subtract(values, self.mean, dtype=np.float64)
        return np.divide(scaled, self.scale, out=scaled).astype(np.float32)

    def encoded(self, scaled: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the columns that stand for lists [n, d], which `scaled` gave."""
        missing = np.isnan(scaled[:, :1])
        yield np.where(missing, np.float32(0), scaled)
        if self.marked:
            yield missing.astype(np.float32)
