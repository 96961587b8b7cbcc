"""The index of the user's own frame, which predictions and label issues carry.

Where a name of the index is that of a column beside it too, or of another level, the name of the index gets an
underscore: the columns keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray


def own_index(*data: Any) -> pd.Index[Any] | None:
    """Return the index of the first frame or series of pandas; None where there is none, or it only counts the rows.

    Parameters
    ----------
    *data : object
        What the user gave, such as X and y.
    """
    index = next((d.index for d in data if isinstance(d, (pd.DataFrame, pd.Series))), None)
    counts = index is not None and index.name is None and index.equals(pd.RangeIndex(len(index)))
    return None if counts else index


def like_input(values: NDArray[Any], X: Any, columns: Iterable[str] | None = None) -> Any:
    """Return predictions in the form of the features: with the index of a frame or series of pandas, else an array.

    Parameters
    ----------
    values : ndarray
        [n], or [n, C] with `columns`.
    X : object
        The features.
    columns : iterable of str, optional
        Names of the C columns.
    """
    if not isinstance(X, (pd.DataFrame, pd.Series)):
        return values
    if columns is None:
        return pd.Series(values, index=X.index, name="predicted")
    return pd.DataFrame(values, index=X.index, columns=list(columns))


def with_own_index(frame: pd.DataFrame, index: pd.Index[Any] | None) -> pd.DataFrame:
    """Return a frame whose column `index` has the positions of its rows, with their entries of the user's index."""
    if index is None:
        return frame
    entries = index.take(frame["index"].to_numpy(dtype=np.int64))
    names = zip(index.names, _free_names(index, frame.columns), strict=True)
    return frame.set_axis(entries.set_names([None if old is None else new for old, new in names]), axis=0)


def with_index_columns(frame: pd.DataFrame, index: pd.Index[Any]) -> pd.DataFrame:
    """Return a frame with the entries of an index [n] as columns behind its first; one without a name is "index"."""
    whole = frame.copy()
    for level, name in enumerate(_free_names(index, frame.columns)):
        whole.insert(1 + level, name, index.get_level_values(level).to_numpy())
    return whole


def entries_of(index: pd.Index[Any], row: int, beside: Iterable[str]) -> dict[str, str]:
    """Return the entries of a row as text, by names that no column beside has; one without a name is "index"."""
    entries = [str(index.get_level_values(level)[row]) for level in range(index.nlevels)]
    return dict(zip(_free_names(index, beside), entries, strict=True))


def storable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose index a Parquet file can hold: entries of several types are text."""
    index = frame.index
    levels = [index.get_level_values(i) for i in range(index.nlevels)]
    plain = [level if _fits(level) else level.map(str) for level in levels]
    if all(new is old for new, old in zip(plain, levels, strict=True)):
        return frame
    new = pd.MultiIndex.from_arrays(plain, names=index.names) if index.nlevels > 1 else plain[0]
    return frame.set_axis(new, axis=0)


def _fits(level: pd.Index[Any]) -> bool:
    try:
        pa.Array.from_pandas(level)
    except (pa.ArrowException, TypeError, ValueError):
        return False
    return True


def _free_names(index: pd.Index[Any], beside: Iterable[Any]) -> list[str]:
    """Return a name for each level of an index, as text, which no column beside and no level before it has."""
    names, taken = list[str](), {str(name) for name in beside}
    for level in index.names:
        name = "index" if level is None else str(level)
        while name in taken:
            name = f"{name}_"
        taken.add(name)
        names.append(name)
    return names
