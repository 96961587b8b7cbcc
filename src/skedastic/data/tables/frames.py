"""Frames of pandas, of Polars and of others that Arrow takes, as tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from skedastic.data.sources.headers import named_twice
from skedastic.data.sources.names import no_rows
from skedastic.data.tables.readers import frame_reader
from skedastic.data.tables.table import Table


def is_frame(X: Any) -> bool:
    """Return whether an object is a frame of pandas or Polars, or an Arrow table.

    Parameters
    ----------
    X : Any
        The object.
    """
    return isinstance(X, pd.DataFrame) or (hasattr(X, "to_pandas") and hasattr(X, "columns"))


def frame_table(X: Any, name: str = "frame") -> Table:
    """Return a frame as a table.

    Parameters
    ----------
    X : Any
        A frame of pandas or Polars, or an Arrow table.
    name : str, optional
        The name of the frame in errors.

    Raises
    ------
    UserError
        Two columns have one name, or there are no rows.
    """
    reader = frame_reader(X)
    twice = [column for column, count in Counter(reader.names).items() if count > 1]
    if twice:
        raise named_twice(name, twice[0])
    if len(reader) == 0:
        raise no_rows(name)
    return Table(name, reader)
