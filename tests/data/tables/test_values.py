"""Equal values have one name, however a file writes them."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from skedastic.data.tables.values import as_names, canonical, matched, unusable


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1", "1"), ("1.0", "1"), ("+1", "1"), ("1.50", "1.5"), (".5", "0.5"), ("-0.0", "0"), ("0", "0"), ("1.", "1"),
        ("1e-05", "0.00001"), ("1e+16", "10000000000000000"), ("1E5", "1E5"), ("1E+05", "100000"),
        ("1.0E2", "100"),
        ("1E+300", "1e+300"), ("1.0e300", "1e+300"), ("1e300", "1e300"),
        ("TRUE", "True"), ("-2.10", "-2.1"), ("007", "007"),
        ("00", "00"), ("1,5", "1,5"), (".", "."), ("", ""), ("1e+999", "1e+999"), ("cat", "cat"), ("1_0", "1_0"),
        ("12345678901234567890123", "12345678901234567890123"), ("12345678901234567890.0", "12345678901234567890"),
    ],
)  # fmt: skip
def test_the_name_of_a_number_is_its_shortest_writing(text: str, name: str) -> None:
    assert canonical(text) == name
    assert canonical(canonical(text)) == name


WAYS: dict[str, pd.Series] = {
    "text": pd.Series(["0", "1", "1"], dtype=object),
    "text with points": pd.Series(["0.0", "1.0", "1.00"], dtype=object),
    "text glued together": pd.Series(["0", "1.0", "1"], dtype=object),
    "text with spaces": pd.Series([" 0", "1 ", "1"], dtype=object),
    "integers": pd.Series([0, 1, 1]),
    "small integers": pd.Series([0, 1, 1], dtype=np.uint8),
    "floats": pd.Series([0.0, 1.0, 1.0]),
    "half floats": pd.Series([0.0, 1.0, 1.0], dtype=np.float16),
    "nullable integers": pd.Series([0, 1, 1], dtype="Int64"),
    "decimals of many places": pd.Series([Decimal("0E-7"), Decimal("1.0000000"), Decimal("1E+0")], dtype=object),
    "decimals": pd.Series([Decimal("0"), Decimal("1.00"), Decimal("1")], dtype=object),
    "bytes": pd.Series([b"0", b"1", b"1"], dtype=object),
    "categories": pd.Series([0, 1, 1]).astype("category"),
    "categories of text": pd.Series(["0", "1.0", "1"]).astype("category"),
    "objects": pd.Series([0, 1.0, "1"], dtype=object),
    "pandas strings": pd.Series(["0", "1", "1.0"], dtype="string"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_value_has_one_name_in_every_type(way: str) -> None:
    assert as_names(WAYS[way]).tolist() == ["0", "1", "1"]
    hole = pd.Series([*list(WAYS[way]), None], dtype=object)
    assert as_names(hole).tolist() == ["0", "1", "1", ""]


@pytest.mark.parametrize("cells", [["true", "FALSE", "True"], [True, False, True], [b"true", b"false", b"TRUE"]])
def test_truth_values_have_one_name(cells: list[object]) -> None:
    assert as_names(pd.Series(cells, dtype=object)).tolist() == ["True", "False", "True"]
    assert as_names(pd.Series(["true", "yes"], dtype=object)).tolist() == ["True", "yes"], "whatever stands beside it"


def test_single_precision_has_no_more_digits_than_it_holds() -> None:
    assert as_names(pd.Series([0.1, 16777216], dtype=np.float32)).tolist() == ["0.1", "16777216"]
    assert as_names(pd.Series([True, 1, 0, "x"], dtype=object)).tolist() == ["True", "1", "0", "x"]


def test_dates_have_one_name() -> None:
    day = "2024-05-01"
    for cells in (pd.to_datetime(pd.Series([day])), pd.Series([datetime.date(2024, 5, 1)], dtype=object)):
        assert as_names(cells).tolist() == [day]
    assert as_names(pd.to_datetime(pd.Series(["2024-05-01 07:30"]))).tolist() == ["2024-05-01 07:30:00"]


def test_integers_keep_every_digit() -> None:
    whole = [2**53 + 1, 2**63 - 1, -(2**63)]
    assert as_names(pd.Series([*whole, None], dtype="Int64")).tolist() == [*map(str, whole), ""]
    assert as_names(pd.Series([2**64 - 1], dtype="UInt64")).tolist() == ["18446744073709551615"]


@pytest.mark.parametrize(
    ("given", "known", "at"),
    [
        (["1", "0", "2"], ["0", "1"], [1, 0, -1]),
        (["true", "FALSE", "1", "0", "yes"], ["False", "True"], [1, 0, 1, 0, -1]),
        (["True", "false"], ["0", "1"], [1, 0]),
        (["True", "1"], ["0", "1", "2"], [-1, 1]),
        (["true", "True"], ["True", "maybe"], [-1, 0]),
        (["", "a"], ["", "b"], [0, -1]),
        ([], ["a"], []),
    ],
)
def test_names_are_matched(given: list[str], known: list[str], at: list[int]) -> None:
    assert matched(given, known).tolist() == at


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ([[1], [2]], "lists"),
        ([(1,), (2,)], "lists"),
        ([np.array([1]), None], "lists"),
        ([{"a": 1}], "nested values"),
        ([b"\xff"], "bytes that are not UTF-8"),
        ([datetime.time(1)], "times of day"),
        ([datetime.timedelta(1)], "spans of time"),
        ([1j], "values of the type complex"),
        (["a", 1, 1.5, True, None, b"b", Decimal(1), datetime.date(2024, 1, 1)], None),
    ],
)
def test_what_is_no_value(cells: list[object], what: str | None) -> None:
    assert unusable(pd.Series(cells, dtype=object)) == what


@pytest.mark.parametrize("cells", [pd.Series([datetime.date(2024, 1, 1)]), pd.to_datetime(pd.Series(["2024-01-01"]))])
def test_dates_are_values_where_they_may_be(cells: pd.Series) -> None:
    assert unusable(cells) is None
    assert unusable(cells, dates=False) == "dates"


def test_declared_categories_of_arrow_are_values() -> None:
    column = pa.chunked_array([pa.array([1, 2, 1]).dictionary_encode()]).to_pandas()
    assert as_names(column).tolist() == ["1", "2", "1"]
