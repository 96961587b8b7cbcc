"""For any table a model is trained, or one clear line says why not: never a traceback, never a silent drop."""

from __future__ import annotations

import warnings
from contextlib import suppress
from datetime import date
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from skedastic.data import open_source, without_single_rows
from skedastic.errors import UserError
from skedastic.pipeline.prepare import network, prepare
from skedastic.settings.config import Config
from tests.support.refusals import check_refusal

ROWS = 12
NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=64),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.none(),
)
WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "nan",
            "NaN",
            "?",
            "-",
            "1",
            "1e400",
            "0x1",
            "😀",
            "é",
            "\ud800",
            "1.5.2024",
            "2024-02-30",
            "a" * 300,
            "日本語のテキスト",
            "\x00",
        ]
    ),
    st.none(),
)
ODD = st.one_of(
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
    st.binary(max_size=3),
    st.dates(),
    st.complex_numbers(),
)
CELLS = st.one_of(
    st.lists(NUMBERS, min_size=ROWS, max_size=ROWS),
    st.lists(WORDS, min_size=ROWS, max_size=ROWS),
    st.lists(st.one_of(NUMBERS, WORDS), min_size=ROWS, max_size=ROWS),
    st.lists(ODD, min_size=ROWS, max_size=ROWS),
    st.sampled_from(["same", 3, None]).map(lambda v: [v] * ROWS),
    st.permutations(range(ROWS)),
    st.permutations([f"name {i}" for i in range(ROWS)]),
)
NAMES = st.one_of(
    st.text(min_size=1, max_size=5), st.sampled_from(["x", "label", "{}", "a,b", "quantiles:x:2", "#0", "name'"])
)
TARGETS = st.one_of(st.lists(st.sampled_from(["a", "b"]), min_size=ROWS, max_size=ROWS), CELLS)


def refusal(frame: pd.DataFrame, target: str) -> UserError | None:
    """Return the error with which a frame is refused; None where a network reads every row of it."""
    try:
        source = without_single_rows(open_source(frame, target=target), tested=False)
        data = prepare(Config(test="none", target=target), source, None)
        net = network(Config(), data)().eval()
        logits = net(data.train.x)
        assert torch.isfinite(logits).all()
        assert len(data.train) == len(frame) - (0 if source.removed is None else len(source.removed))
        kept = set(source.features.columns) | {target}
        said = " ".join(source.notes)
        for name in frame.columns:
            assert name in kept or str(name)[:1] in said, f"{name} was left out, and nothing said so"
        if source.removed is None:  # else it warns of what the rows that were set aside alone hold
            assert torch.equal(data.encoder.for_prediction(frame), data.train.x)
    except UserError as error:
        return checked(error)
    return None


def checked(error: UserError) -> UserError:
    """Return an error, which must say where the value was given, in one line of readable length."""
    assert error.setting
    assert "\n" not in str(error)
    assert len(str(error)) < 800
    return error


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(columns=st.dictionaries(NAMES, CELLS, min_size=1, max_size=4), target=TARGETS)
@example(columns={"x": [np.inf, -np.inf, np.nan] * 4}, target=list("ab") * 6)
@example(columns={"x": [""] * 11 + [":"]}, target=[0.0, 1.0] * 5 + [0.0, False])
@example(columns={"x": [date(2020, 1, 1)] * 6 + [None] * 6}, target=list("ab") * 6)
def test_any_frame(columns: dict[str, list[object]], target: list[object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = pd.DataFrame({name: pd.Series(list(cells), dtype=object) for name, cells in columns.items()})
        frame["target!"] = pd.Series(list(target), dtype=object)
        refusal(frame, "target!")
        with suppress(UnicodeEncodeError):  # of pandas, where a word is half a surrogate pair
            frame = frame.infer_objects()
        refusal(frame, "target!")


def labelled(n: int = 40, **columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns | {"y": np.array(["a", "b"])[np.arange(n) % 2]})


NORMAL = np.linspace(-1, 1, 40)
TRAINED = {
    "a column of nothing but missing cells": labelled(x=NORMAL, gone=[np.nan] * 40),
    "ten thousand categories": labelled(30_000, x=np.arange(30_000) % 7, c=[f"c{i % 10_000}" for i in range(30_000)]),
    "more categories than have an id": labelled(
        45_000, x=np.arange(45_000) % 7, c=[f"c{i % 15_000}" for i in range(45_000)]
    ),
    "emoji": labelled(x=NORMAL, mood=["😀", "😭"] * 20),
    "a text of emoji": labelled(x=NORMAL, mood=[f"😀 {'😭' * (i + 1)} so so so" for i in range(40)]),
    "an empty text among texts": labelled(x=NORMAL, said=["", *[f"it was the number {i} of them" for i in range(39)]]),
    "half a surrogate pair": labelled(
        x=NORMAL, said=pd.Series([f"\ud800 it was the number {i} of them" for i in range(40)], dtype=object)
    ),
    "true and false": labelled(x=[True, False, None, True] * 10),
    "numbers as text": labelled(x=[f" {v} " for v in NORMAL]),
    "very small numbers": labelled(x=NORMAL * 1e-300),
    "very large numbers": labelled(x=NORMAL * 1e38),
    "one number far away": labelled(x=[1e30, *NORMAL[1:]]),
    "dates before Christ are words": labelled(x=NORMAL, day=["0001-01-01", "9999-12-31"] * 20),
    "dates of several zones": labelled(x=NORMAL, day=["2024-01-01T10:00+02:00", "2024-01-01T10:00-05:00"] * 20),
    "a column named like a format": labelled(x=NORMAL, **{"{0}": NORMAL}),
    "whole numbers that are missing": labelled(x=pd.array([1, None, 3, 4] * 10, dtype="Int64")),
    "a declared category": labelled(x=NORMAL, c=pd.Categorical(["u", "v"] * 20, categories=["u", "v", "w"])),
    "a single feature of two values": labelled(x=[0, 1] * 20),
    "labels of blanks around": labelled(x=NORMAL).assign(y=[" a", "b "] * 20),
    "labels true and false": labelled(x=NORMAL).assign(y=[True, False] * 20),
    "labels of emoji": labelled(x=NORMAL).assign(y=["😀", "😭"] * 20),
    "duplicate rows": pd.concat([labelled(x=NORMAL)] * 2, ignore_index=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_frames_that_are_trained_on(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refusal(TRAINED[name], "y") is None


FRAME = "frame"
LEFT = "no column is left to learn from"
REFUSED = {  # a frame, the place and the value that it is refused for, and a few words of the rule
    "infinity": (labelled(x=[np.inf, *NORMAL[1:]]), "frame, row 0, column 'x'", np.inf, "±3.4e+38"),
    "too large for single precision": (labelled(x=NORMAL * 1e39), "frame, row 0, column 'x'", -1e39, "±3.4e+38"),
    "a word among numbers": (
        labelled(x=["1", "2", "three", *["4"] * 37]),
        "frame, row 2, column 'x'",
        "three",
        "not a number",
    ),
    "lists of other lengths": (labelled(x=NORMAL, odd=[[1], [1, 2]] * 20), "frame, row 1, column 'odd'", 2, "have 1;"),
    "lists of words": (labelled(x=NORMAL, odd=[["a"]] * 40), "frame, column 'odd'", "lists", "can't be a feature"),
    "a mapping": (
        labelled(x=NORMAL, odd=[{"a": 1}] * 40),
        "frame, column 'odd'",
        "nested values",
        "can't be a feature",
    ),
    "bytes": (labelled(x=NORMAL, odd=[b"\xff"] * 40), "frame, column 'odd'", "bytes that are not UTF-8", "a feature"),
    "complex numbers": (labelled(x=NORMAL * 1j), "frame, column 'x'", ANY, "complex128, which can't be a feature"),
    "spans of time": (
        labelled(x=pd.timedelta_range("1h", periods=40)),
        "frame, column 'x'",
        ANY,
        "timedelta64",
    ),
    "an impossible date": (
        labelled(x=NORMAL, day=["2024-02-30", *["2024-02-03"] * 39]),
        "frame, row 0, column 'day'",
        "2024-02-30",
        "not a date",
    ),
    "only constant columns": (labelled(x=[1] * 40, z=["u"] * 40), FRAME, None, f"{LEFT} (all cells the same: x, z)"),
    "only names": (labelled(who=[f"n{i}" for i in range(40)]), FRAME, None, f"{LEFT} (names: who)"),
    "two columns of one name": (
        pd.DataFrame([[1, 2, "a"], [2, 3, "b"]], columns=["x", "x", "y"]),
        FRAME,
        "x",
        "twice",
    ),
    "no rows": (labelled(x=NORMAL).head(0), FRAME, None, "at least one"),
    "no features": (labelled(), FRAME, None, LEFT),
    "one label": (labelled(x=NORMAL).assign(y="a"), "frame, column 'y'", "a", "at least two classes"),
    "a label once": (labelled(x=NORMAL).assign(y=["a"] * 39 + ["b"]), "frame, y", "b", "fewer than two classes"),
    "a missing label": (
        labelled(x=NORMAL).assign(y=[None, *["a", "b", "a"] * 13]),
        "frame, row 0, column 'y'",
        None,
        "the label is missing;",
    ),
    "labels all missing": (labelled(x=NORMAL).assign(y=None), "frame, row 0, column 'y'", None, "missing, and 39 more"),
    "infinite targets": (
        labelled(x=NORMAL).assign(y=[np.inf, *NORMAL[1:]]),
        "frame, row 0, column 'y'",
        np.inf,
        "regression needs finite numbers",
    ),
    "nested labels": (
        labelled(x=NORMAL).assign(y=[[1, 2]] * 40),
        "frame, column 'y'",
        "lists",
        "one label or number in each row",
    ),
    "no such target": (labelled(x=NORMAL).rename(columns={"y": "z"}), "frame, target column", "y", "known: x, z"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_frames_that_are_refused(name: str) -> None:
    frame, setting, value, rule = REFUSED[name]
    error = refusal(frame, "y")
    assert error is not None
    check_refusal(error, setting, value, rule=rule)
