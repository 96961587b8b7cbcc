"""The kind of a column: integers that floating point would merge are no numbers, and titles are texts."""

from uuid import UUID

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


TITLES = [f"the {first} {second}" for first in ("red", "old", "last") for second in ("house", "dog", "road", "sea")]
PLACES = ["Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ida", "Jo", "Kit", "Lee"]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([f"{title} {place}" for title, place in zip(TITLES * 2, [*PLACES, *reversed(PLACES)], strict=True)], "text"),
        ([f"{color} car" for color in map("x{}y".format, range(40))], None),  # the only word is in all of them
        ([f"Street {n}" for n in range(40)], None),
        ([f"{p.lower()}{n}-{w}-tools" for n in range(3) for p in PLACES for w in ("red", "old", "mid")], "text"),
        ([f"{['HAM', 'MUC', 'BER'][n % 3]} {chr(65 + n % 26)}X {n:04}" for n in range(90)], None),  # number plates
        ([f"{'ab' * (n % 3 + 1)}-{n:03}" for n in range(40)], None),  # ids, of one word
        (
            [str(UUID(bytes=row.tobytes())) for row in np.random.default_rng(0).integers(0, 256, (999, 16), np.uint8)],
            None,
        ),
        ([f"{chr(97 + n) * 3} {chr(97 + n) * 4}" for n in range(26)], None),  # no word is in two cells
    ],
)
def test_short_texts_have_words_in_common(cells: list[str], kind: str | None) -> None:
    assert kind_of(pd.Series(cells), "x", PLACE) == kind
