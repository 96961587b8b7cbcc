"""Equal labels are one class, in every file; labels that only look alike are told."""

import datetime
from pathlib import Path

import pandas as pd
import pytest

from skedastic.data import from_arrays, open_source
from skedastic.data.targets.spellings import spelling_notes
from tests.support.refusals import refused

X = [float(i % 7) for i in range(40)]


def written(folder: Path, labels: list[object], name: str = "t.csv") -> str:
    pd.DataFrame({"x": X[: len(labels)], "label": labels}).to_csv(folder / name, index=False)
    return str(folder / name)


def test_labels_glued_together_from_two_files_are_one_class(tmp_path: Path) -> None:
    source = open_source(written(tmp_path, ["0", "1", "0.0", "1.0"] * 10), target="label")
    assert source.classes == ("0", "1")
    assert source.y.tolist() == [0, 1, 0, 1] * 10
    assert "label: equal values are one, 0 and 0.0 as 0; 1 and 1.0 as 1" in source.notes


@pytest.mark.parametrize("other", [["0.0", "1.0"], [0.0, 1.0], [0, 1], ["+0", "1."], [False, True], ["FALSE", "true"]])
def test_a_test_file_may_write_the_same_labels_otherwise(tmp_path: Path, other: list[object]) -> None:
    train = open_source(written(tmp_path, [0, 1] * 20), target="label")
    test = open_source(written(tmp_path, other * 20, "test.csv"), target="label", schema=train.schema)
    assert test.y.tolist() == [0, 1] * 20


def test_labels_that_differ_in_case_only_are_told() -> None:
    column = pd.Series(["Yes"] * 5 + ["yes"] * 3 + ["YES", "no", "No", "New  York", "new york", "maybe"])
    (note,) = spelling_notes(column, "answer")
    assert note == (
        "answer: labels that differ in case or spaces only: Yes (5), yes (3), YES (1); no (1), No (1); New  York (1), "
        "new york (1); if they are one, write them alike"
    )
    assert spelling_notes(pd.Series(["a", "b", "1", "2"]), "answer") == ()
    (bits,) = spelling_notes(pd.Series([True, True, 1, 0, "x"], dtype=object), "answer")
    assert bits == ("answer: values that may be one, but are read as several: True (2), 1 (1); if so, write them alike")
    (composed,) = spelling_notes(pd.Series(["caf\u00e9", "cafe\u0301"]), "place")
    assert composed.startswith("place: labels that differ")


def test_bins_of_pandas_are_values() -> None:
    bins = pd.cut(pd.Series(X), [-1, 2, 4, 7])
    for column in (bins, pd.Series(pd.arrays.IntervalArray(bins))):
        source = open_source(pd.DataFrame({"bin": column, "label": column}), target="label")
        assert source.classes == ("(-1, 2]", "(2, 4]", "(4, 7]")
        assert source.features["bin"].tolist() == column.astype(str).tolist()


def test_groups_are_values_too(tmp_path: Path) -> None:
    pd.DataFrame({"x": X, "ward": ["1", "1.0", "2", "2.0"] * 10, "label": list("ab") * 20}).to_csv(
        tmp_path / "t.csv", index=False
    )
    source = open_source(str(tmp_path / "t.csv"), target="label", groups="ward")
    assert source.groups == ("1", "2")
    assert source.group.tolist() == [0, 0, 1, 1] * 10


def test_superclasses_of_labels_that_pandas_wrote(tmp_path: Path) -> None:
    (tmp_path / "above.json").write_text('{"0.0": "even", "1.0": "odd"}')
    source = open_source(written(tmp_path, [0, 1] * 20), target="label", groups=f"superclass:{tmp_path / 'above.json'}")
    assert source.groups == ("even", "odd")


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ([["a"], ["b"]], "lists"),
        ([{"a": 1}, {"a": 2}], "nested values"),
        ([b"\xff", b"b"], "bytes that are not UTF-8"),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], "dates"),
        ([datetime.timedelta(1), datetime.timedelta(2)], "values of the type timedelta64[us]"),
    ],
)
def test_what_can_be_no_label(labels: list[object], what: str) -> None:
    column = pd.Series(labels * 20)
    with refused("frame, column 'label'", what, rule="one label or number in each row"):
        open_source(pd.DataFrame({"x": X, "label": column}), target="label")
    with refused("y", what, rule="one value for each example"):
        from_arrays(pd.DataFrame({"x": X}), column)


def test_dates_of_text_are_no_labels_either(tmp_path: Path) -> None:
    with refused("t.csv, column 'label'", "dates", rule="name another column"):
        open_source(written(tmp_path, ["2024-01-31", "2024-02-29"] * 20), target="label")
    versions = open_source(written(tmp_path, ["1.2.10", "1.2.11"] * 20), target="label")
    assert versions.classes == ("1.2.10", "1.2.11")


def test_labels_in_bytes_are_decoded() -> None:
    frame = pd.DataFrame({"x": X, "label": [b"cat", "Z\u00fcrich".encode()] * 20})
    assert open_source(frame, target="label").classes == ("Z\u00fcrich", "cat")


@pytest.mark.parametrize(("one", "other"), [("1", "True"), ("1", "01"), ("100000", "1e5")])
def test_values_that_are_one_number_in_several_classes_are_told(tmp_path: Path, one: str, other: str) -> None:
    source = open_source(written(tmp_path, ["a", one, other, "b"] * 10), target="label")
    assert len(source.classes) == 4
    assert f"values that may be one, but are read as several: {one} (10), {other} (10)" in " ".join(source.notes)


def test_long_names_of_digits_that_differ_are_not_told(tmp_path: Path) -> None:
    labels = ["12345678901234567890123", "12345678901234567890124", "1", "2"] * 10
    assert open_source(written(tmp_path, labels), target="label").notes == ()


@pytest.mark.parametrize("word", ["NA", "NULL", "None", "#N/A", "<NA>"])
def test_words_for_no_value_are_told_where_they_are_a_class(tmp_path: Path, word: str) -> None:
    source = open_source(written(tmp_path, ["a", word, "b", "b"] * 10), target="label")
    assert word in source.classes
    assert f"label: {word} (10) is a class as any other; if it stands for no value, empty these cells" in source.notes
    assert open_source(written(tmp_path, ["a", "b"] * 10), target="label").notes == ()
