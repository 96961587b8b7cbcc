"""Tables: their cells, and every way in which a table can be unfit, each refused in one line."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from skedastic.data import Classes, Source, open_source
from skedastic.data.tables.numbers import as_numbers
from skedastic.data.tables.values import as_names
from skedastic.errors import UserError
from tests.support.paths import SHARED
from tests.support.refusals import check_refusal

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")

PEOPLE = """age,city,member,label
31,Rome,true,yes
45,Oslo,false,no
,Rome,true,yes
27,,false,no
62,Oslo,true,yes
"""


def write(folder: Path, text: str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path, target: str | None = "label", **options: object) -> UserError:
    """Return the error with which a source is refused."""
    with pytest.raises(UserError) as caught:
        open_source(path, target=target, **options)
    return caught.value


def column_of(cells: list[str], folder: Path, name: str = "odd") -> UserError:
    """Return the refusal of a table with a column `name` of these cells."""
    rows = "".join(f'{i},"{c}",{"ab"[i % 2]}\n' for i, c in enumerate(cells))
    return refusal(write(folder, f"n,{name},label\n{rows}"))


def test_a_csv_is_parsed_column_by_column(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, PEOPLE), target="label")
    frame = source.features
    assert source.classes == source.groups == ("no", "yes")
    assert source.y.tolist() == source.group.tolist() == [1, 0, 1, 0, 1]
    assert source.kind == "table"
    assert len(source) == 5
    np.testing.assert_array_equal(frame["age"], [31, 45, np.nan, 27, 62])
    assert frame["city"].tolist() == ["Rome", "Oslo", "Rome", "", "Oslo"]
    assert frame["member"].tolist() == [1, 0, 1, 0, 1]
    assert source.notes == (
        "columns with missing cells, filled with the median of the training rows and marked, or kept as a category: "
        "age (1 of 5), city (1 of 5)",
    )
    assert source.describe([2])[0] == {"age": "missing", "city": "Rome", "member": "true"}
    assert source.describe([3])[0]["city"] == "missing"
    assert source.image(0) is None
    assert source.truth_of(torch.arange(5)) is None


@pytest.mark.parametrize(("ending", "separator"), [("csv", ";"), ("tsv", "\t"), ("csv", "|"), ("CSV", ",")])
def test_separators_byte_order_mark_and_quotes(tmp_path: Path, ending: str, separator: str) -> None:
    text = "\ufeff" + 'x,"a name",label\n1,"say ""hi""\nthere",a\n2,plain,b\n3,plain,a\n4,plain,b\n'.replace(
        ",", separator
    )
    source = open_source(write(tmp_path, text, f"t.{ending}"), target="label")
    assert list(source.features.columns) == ["x", "a name"]
    assert source.features["a name"][0] == 'say "hi"\nthere'


def test_a_parquet_table_equals_its_csv(tmp_path: Path) -> None:
    as_csv = open_source(write(tmp_path, PEOPLE), target="label")
    frame = pd.read_csv(tmp_path / "people.csv")
    frame["city"] = frame["city"].astype("category")
    frame.iloc[::-1].sort_index().to_parquet(tmp_path / "people.parquet")
    as_parquet = open_source(tmp_path / "people.parquet", target="label")
    pd.testing.assert_frame_equal(as_csv.features.frame(), as_parquet.features.frame())
    assert as_parquet.classes == as_csv.classes
    assert torch.equal(as_parquet.y, as_csv.y)


def test_the_index_that_pandas_saves_is_no_feature(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4], "label": list("abab")})
    frame[frame.x > 0].set_index(pd.Index([5, 9, 2, 7])).to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv")
    assert list(open_source(tmp_path / "t.parquet", target="label").features.columns) == ["x"]
    from_csv = open_source(tmp_path / "t.csv", target="label")
    assert list(from_csv.features.columns) == ["x"]
    assert "left out: the column without a name" in from_csv.notes


def test_constant_and_counting_columns_get_a_note(tmp_path: Path) -> None:
    rows = "".join(f"{i},same,{i % 7},{'ab'[i % 2]}\n" for i in range(40))
    source = open_source(write(tmp_path, f"id,fixed,x,label\n{rows}"), target="label")
    assert list(source.features.columns) == ["id", "x"]
    assert source.notes == (
        "columns left out, since every cell is the same: fixed",
        "columns counting up row by row, so perhaps no feature but an index (--ignore it then): id",
    )


def test_words_for_missing_numbers_and_categories_of_their_own(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, "x,s,label\n1,none,a\nNA,mild,b\n?,none,a\n4,NA,b\n"), target="label")
    np.testing.assert_array_equal(source.features["x"], [1, np.nan, np.nan, 4])
    assert source.features["s"].tolist() == ["none", "mild", "none", "NA"]


def test_classes_are_sorted_by_number_where_they_are_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(["10", "9", "2", "10", "9", "2"]))
    source = open_source(write(tmp_path, f"x,label\n{rows}"), target="label")
    assert source.classes == ("2", "9", "10")
    assert source.y.tolist() == [2, 1, 0, 2, 1, 0]
    assert isinstance(source.target, Classes)
    assert source.target.integer_labels
    words = open_source(write(tmp_path, f"x,label\n{rows.replace('9', 'nine')}"), target="label")
    assert words.classes == ("10", "2", "nine")
    assert isinstance(words.target, Classes)
    assert not words.target.integer_labels


def test_groups_and_truth_are_columns_too(tmp_path: Path) -> None:
    rows = "".join(f"{i % 5},{'ns'[i % 2]},{'ab'[i % 3 % 2]},{'ab'[i % 3 == 1]}\n" for i in range(12))
    path = write(tmp_path, f"x,ward,label,clean\n{rows}")
    source = open_source(path, target="label", groups="ward", truth="clean")
    assert source.groups == ("n", "s")
    assert source.group.tolist() == [0, 1] * 6
    assert list(source.features.columns) == ["x", "ward"], "the groups stay a feature, the clean labels never are one"
    truth = source.truth_of(torch.tensor([3, 1]))
    assert truth is not None
    assert truth.clean.tolist() == [0, 1]
    assert truth.index.tolist() == [3, 1]
    ignored = open_source(path, target="label", groups="ward", truth="clean", ignore=["ward"])
    assert list(ignored.features.columns) == ["x"]
    assert ignored.groups == ("n", "s")


def test_files_that_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    write(tmp_path, "x", "t.xlsx")
    write(tmp_path, "", "e.csv")
    write(tmp_path, PEOPLE, "fake.parquet")
    write(tmp_path, "\n,\n1,a\n", "blank.csv")
    for name, rule in (
        ("absent.csv", "no such file"),
        ("digitz", "no such file or folder; give a file that ends in .csv"),
        ("", "directory without images"),
        ("folder.csv", "is a directory; name one file"),
        ("t.xlsx", "ends in '.xlsx'"),
        ("e.csv", "is empty"),
        ("fake.parquet", "can't be read as a parquet table"),
        ("binary.csv", "UTF-8"),
        ("blank.csv", "the first line must name the columns"),
    ):
        check_refusal(refusal(tmp_path / name), str(tmp_path / name).rstrip("/"), None, rule=rule)
    twice = write(tmp_path, "x,x,label\n1,2,a\n", "twice.csv")
    check_refusal(refusal(twice), str(twice), "x")
    pd.DataFrame({"x": [], "label": []}).to_parquet(tmp_path / "none.parquet")
    for path in (write(tmp_path, "x,label\n", "h.csv"), tmp_path / "none.parquet"):
        check_refusal(refusal(path), path.name, None, rule="at least one")


def test_spaces_around_the_names_of_columns_are_dropped(tmp_path: Path) -> None:
    spaced = write(tmp_path, PEOPLE.replace(",", ", "))
    assert list(open_source(spaced, target="label").features)[1] == "city"


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path, PEOPLE)
    check_refusal(refusal(path, target=None), "target", None, rule="is it 'label'?")
    assert str(refusal(path, target="lable")) == (
        "people.csv: unknown target column 'lable': did you mean 'label'? (known: age, city, member, label)"
    )
    check_refusal(refusal(path, groups="citi"), "people.csv, groups column", "citi", rule="'city'")
    check_refusal(refusal(path, truth="clean"), "people.csv, truth column", "clean")
    check_refusal(refusal(path, ignore=["agee"]), "people.csv, column to ignore", "agee", rule="'age'")
    check_refusal(refusal(path, ignore=["label"]), "target", "label", rule="ignored at once")
    left = refusal(path, ignore=["age", "city", "member"])
    check_refusal(left, "people.csv", None, rule="no column is left to learn from")
    pictures = write(tmp_path, "file,label\n" + "".join(f"img/{i}.png,{'ab'[i % 2]}\n" for i in range(40)), "p.csv")
    check_refusal(refusal(pictures), "p.csv", None, rule="--image file reads the files that it names")
    pd.read_csv(path).to_parquet(tmp_path / "people.parquet")
    absent = refusal(tmp_path / "people.parquet", ignore=["agee"])
    check_refusal(absent, "people.parquet, column to ignore", "agee", rule="'age'")
    assert list(open_source(tmp_path / "people.parquet", target="label", ignore=["age"]).features) == ["city", "member"]


def test_text_where_numbers_belong(tmp_path: Path) -> None:
    assert str(column_of(["12", "13", "abc", "15", "16", "n/a?"], tmp_path, "age")) == (
        "people.csv, line 4, column 'age': 'abc' is not a number, as 4 other cells of the column are; "
        "mend the cell, take the column as words with --categorical age, or leave the column out with --ignore age"
    )
    quoted = column_of(["12", "13", "abc", "15"], tmp_path, "my age")
    check_refusal(quoted, "people.csv, line 4, column 'my age'", "abc", rule="--ignore 'my age'")
    frame = pd.DataFrame({"x": ["1", "2", None, "two", "3"], "label": list("ababa")})
    frame.to_parquet(tmp_path / "t.parquet")
    check_refusal(refusal(tmp_path / "t.parquet"), "t.parquet, row 3, column 'x'", "two", rule="not a number")


def test_the_name_of_a_column_may_hold_braces(tmp_path: Path) -> None:
    check_refusal(
        column_of(["1", "2", "{row}", "4"], tmp_path, "{file}"), "people.csv, line 4, column '{file}'", "{row}"
    )


def test_cells_that_are_no_feature(tmp_path: Path) -> None:
    check_refusal(column_of(["1", "inf", "3", "4"], tmp_path), "people.csv, line 3, column 'odd'", float("inf"))
    check_refusal(column_of(["1e300", "2", "3", "4"], tmp_path), "people.csv, line 2, column 'odd'", 1e300)
    mixed = ["2024-05-01", "2024-05-02", "2024-05-03", "soon"]
    check_refusal(column_of(mixed, tmp_path), "people.csv, line 5, column 'odd'", "soon", rule="not a date")


@pytest.mark.parametrize(
    ("cells", "place", "value", "rule"),
    [
        (pa.array([[1], [2], [3, 4], [5]]), "row 2, column 'odd'", 2, "others have 1"),
        (pa.array([["a"], ["b"], ["c"], ["d"]]), "column 'odd'", "lists", "can't be a feature"),
        (pa.array([{"a": 1}] * 4), "column 'odd'", "nested values", "can't be a feature"),
        (pa.array([b"a", b"b", b"c", b"\xff"]), "column 'odd'", "bytes that are not UTF-8", "can't be a feature"),
        (pa.array(pd.timedelta_range("1h", periods=4)), "column 'odd'", ANY, "timedelta64"),
        (pa.array([1.0, float("-inf"), 2, 3]), "row 1, column 'odd'", float("-inf"), "single precision"),
    ],
)
def test_parquet_columns_that_are_no_feature(
    tmp_path: Path, cells: pa.Array, place: str, value: object, rule: str
) -> None:
    pq.write_table(pa.table({"x": [1, 2, 3, 4], "odd": cells, "label": list("abab")}), tmp_path / "t.parquet")
    check_refusal(refusal(tmp_path / "t.parquet"), f"t.parquet, {place}", value, rule=rule)
    assert list(open_source(tmp_path / "t.parquet", target="label", ignore=["odd"]).features) == ["x"]


def labels(values: list[object], folder: Path, **options: object) -> UserError:
    frame = pd.DataFrame({"x": np.arange(len(values)) % 11, "label": values})
    frame.to_csv(folder / "y.csv", index=False)
    return refusal(folder / "y.csv", **options)


def test_impossible_labels_are_refused(tmp_path: Path) -> None:
    column = "y.csv, column 'label'"
    check_refusal(labels(["a"] * 4, tmp_path), column, "a", rule="every label")
    missing = labels(["a", None, "b", "a", None], tmp_path)
    check_refusal(missing, "y.csv, line 3, column 'label'", None, rule="missing, and 1 more")
    fractions = labels([0.5, 1, 0.5, 1], tmp_path, task="classification")
    check_refusal(fractions, column, 2, rule="looks like regression")
    check_refusal(labels([*range(60)] * 2, tmp_path, task="classification"), column, 60, rule="looks like regression")


def test_many_classes_with_many_examples_are_classes(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.arange(6000) % 7, "label": np.arange(6000) % 100}).to_csv(tmp_path / "y.csv", index=False)
    assert len(open_source(tmp_path / "y.csv", target="label").classes) == 100


def test_impossible_groups_and_truth_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.linspace(0, 1, 60), "g": ["u", "v", None] * 20, "t": list("abc") * 20})
    frame["label"] = list("ab") * 30
    frame.to_csv(tmp_path / "t.csv", index=False)
    path = tmp_path / "t.csv"
    check_refusal(refusal(path, groups="x"), "t.csv, column 'x'", 60, rule="different numbers")
    check_refusal(refusal(path, groups="g"), "t.csv, line 4, column 'g'", None, rule="group is missing, and 19 more")
    check_refusal(refusal(path, truth="t"), "t.csv, line 4, column 't'", "c")
    check_refusal(refusal(path, truth="g"), "t.csv, line 4, column 'g'", None, rule="true label is missing")


@pytest.fixture
def training(tmp_path: Path) -> Source:
    return open_source(write(tmp_path, PEOPLE), target="label")


def test_a_test_file_is_read_like_the_training_file(tmp_path: Path, training: Source) -> None:
    text = "city,extra,label,age,member\nParis,9,no,50,False\nRome,9,no,n/a,True\n"
    test = open_source(write(tmp_path, text, "test.csv"), target="label", schema=training.schema)
    assert test.classes == training.classes, "a class may be absent from the test set, and one example is enough"
    assert test.y.tolist() == [0, 0]
    assert list(test.features.columns) == list(training.features.columns)
    assert test.features["member"].tolist() == [0, 1]
    encoder = training.encode(torch.arange(5))
    x = test.dataset(torch.arange(2), encoder).x
    assert x[0, 3:].tolist() == [0, 0, 0], "a city that training never saw is none of the known ones"


def test_impossible_test_files_are_refused(tmp_path: Path, training: Source) -> None:
    def test_file(text: str, **options: object) -> UserError:
        return refusal(write(tmp_path, text, "test.csv"), schema=training.schema, **options)

    header = "age,city,member,label\n"
    unknown = test_file(header + "3,Rome,true,yess\n")
    check_refusal(unknown, "test.csv, line 2, column 'label'", "yess", rule="did you mean 'yes'? (known: 'no', 'yes')")
    renamed = test_file("age,citi,member,label\n3,R,true,yes\n")
    check_refusal(renamed, "test.csv", "city", rule="− city (categorical, is it 'citi'?), + citi, + label")
    check_refusal(test_file("age,city,member\n3,Rome,true\n"), "test.csv, target column", "label")
    check_refusal(test_file(header + "old,Rome,true,yes\n"), "test.csv, line 2, column 'age'", "old")
    check_refusal(test_file(header), "test.csv", None, rule="at least one")
    grouped = open_source(tmp_path / "people.csv", target="label", groups="member")
    path = write(tmp_path, header + "3,Rome,maybe,yes\n", "test.csv")
    group = refusal(path, groups="member", schema=grouped.schema)
    check_refusal(group, "test.csv, line 2, column 'member'", "maybe", rule="group")
    digits = refusal(path, schema=open_source("digits").schema)
    check_refusal(digits, "test.csv, line 2, column 'label'", "yes", rule="does not occur")


def test_names_and_numbers_of_every_kind_of_column() -> None:
    assert as_names(pd.Series([1.0, 2.5, np.nan, -0.0])).tolist() == ["1", "2.5", "", "0"]
    assert as_names(pd.Series([1, 2])).tolist() == ["1", "2"]
    assert as_names(pd.Series([True, False])).tolist() == ["True", "False"]
    assert as_names(pd.Series([" a ", None, "b"])).tolist() == ["a", "", "b"]
    assert as_names(pd.Series([2, 1, None], dtype="Int64")).tolist() == ["2", "1", ""]
    assert as_names(pd.Series([2, 1, 2], dtype="category")).tolist() == ["2", "1", "2"]
    assert as_names(pd.Series(["b", None], dtype="category")).tolist() == ["b", ""]
    for column in (pd.Series([True, False]), pd.Series([1, 0], dtype="Int8"), pd.Series(["True", "FALSE"])):
        numbers, unparsable = as_numbers(column)
        assert numbers.tolist() == [1, 0]
        assert not unparsable.any()


@needs_shared
def test_real_tables() -> None:
    diamonds = open_source(SHARED / "diamonds.parquet", target="cut")
    assert diamonds.classes == ("Fair", "Good", "Ideal", "Premium", "Very Good")
    assert diamonds.y.bincount().tolist() == [1610, 4906, 21551, 13791, 12082]
    encoder = diamonds.encode(torch.arange(0, len(diamonds), 2))
    assert encoder.input_shape == (7 + 7 + 8,)
    price = refusal(SHARED / "diamonds.parquet", target="price", task="classification")
    check_refusal(price, "diamonds.parquet, column 'price'", rule="looks like regression")
    reviews = open_source(SHARED / "imdb_train.parquet", target="label", ignore=["text", "id"])
    assert reviews.classes == ("neg", "pos"), "the names that the file declares for 0 and 1"
    nested = refusal(SHARED / "vader_ratings.parquet", target="source", ignore=["item_id", "text"])
    check_refusal(nested, "vader_ratings.parquet, row 1, column 'ratings'", 99)
