"""The kind of a column: integers that floating point would merge are no numbers."""

import numpy as np
import pandas as pd
import pytest

from skedastic.data.tables.columns import kind_of
from skedastic.data.tables.location import column_place

PLACE = column_place("t.csv", "x")


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (np.arange(40) + 2**60, None),
        ((np.arange(40) % 5) + 2**60, "category"),
        (np.arange(40) + 2**53, None),
        (np.arange(40) * 2**50, "number"),
        (np.arange(40) - 20, "number"),
        (np.arange(40, dtype=np.uint64) + 2**63, None),
    ],
)
def test_integers_beyond_floating_point(cells: np.ndarray, kind: str | None, as_text: bool) -> None:
    column = pd.Series(list(map(str, cells)), dtype=object) if as_text else pd.Series(cells)
    assert kind_of(column, "x", PLACE) == kind
    holed = object if as_text else "UInt64" if cells.min() > 2**62 else "Int64"
    holes = pd.Series([*column, None], dtype=holed)
    assert kind_of(holes, "x", PLACE) == kind
