"""Columns of codes and ids are told, since their order means nothing."""

import numpy as np
import pandas as pd
import pytest

from skedastic.data import open_source
from skedastic.data.tables.codes import looks_like_codes

RNG = np.random.default_rng(0)
ZIP = RNG.choice([89073, 53111, 24103, 10115], 60)


@pytest.mark.parametrize(
    ("name", "cells", "is_code"),
    [
        ("zip", ZIP, True),
        ("customer_id", RNG.permutation(60), True),
        ("customerId", RNG.permutation(60), True),
        ("ZIP code", ZIP, True),
        ("area", [f"{v:05d}" for v in range(60)], True),
        ("account", RNG.permutation(np.arange(100_000, 100_060)), True),
        ("income", RNG.integers(1, 10**6, 60), False),
        ("width", RNG.normal(size=60), False),
        ("humidity", RNG.integers(0, 100, 60), False),
        ("valid", RNG.integers(0, 2, 60), False),
        ("has_id", RNG.integers(0, 2, 60), False),
        ("delta_id", RNG.integers(-50, 50, 60), False),
    ],
)
def test_codes_are_found(name: str, cells: object, is_code: bool) -> None:
    column = pd.Series(cells)
    assert looks_like_codes(name, column, pd.to_numeric(column).to_numpy(np.float64)) is is_code


def test_they_are_told_unless_the_user_has_said_what_they_are() -> None:
    frame = pd.DataFrame({"zip": ZIP, "x": RNG.normal(size=60), "label": list("ab") * 30})
    assert any("look like codes or ids" in note and "zip" in note for note in open_source(frame, target="label").notes)
    for roles in ({"numeric": ["zip"]}, {"categorical": ["zip"]}, {"ignore": ["zip"]}):
        assert not any("codes" in note for note in open_source(frame, target="label", **roles).notes)
