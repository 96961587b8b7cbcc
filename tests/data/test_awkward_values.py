"""What is done with awkward cells of a table: each test holds a row of the documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from skedastic.data import Source, open_source
from tests.support.awkward import Documented
from tests.support.refusals import refused

N = 40
X = [float(i % 7) for i in range(N)]
LABEL = ["a", "b"] * (N // 2)


AWKWARD: list[Documented] = []


def held(kind: str, what: str, does: str) -> Callable[[Any], Any]:
    """Take the row into the documentation that a test holds."""
    AWKWARD.append(Documented(kind, what, does))
    return lambda test: test


def opened(folder: Path, name: str = "t.csv", schema: Any = None, **columns: Any) -> Source:
    frame = pd.DataFrame({"x": X, "label": LABEL} | columns)
    frame.to_csv(folder / name, index=False)
    return open_source(folder / name, target="label", schema=schema)


def encoded(source: Source) -> Any:
    return source.encode(torch.arange(N)).transform(source.features)


@held("Missing", "an empty cell, `NA`, `null`, `?` or `-` among numbers", "the median of the training rows, and marked")
def test_missing_numbers(tmp_path: Path) -> None:
    x = encoded(opened(tmp_path, x=["", "NA", "null", "?", "-", *map(str, X[5:])]))
    assert x[:, 1].tolist() == [1.0] * 5 + [0.0] * 35


@held("Missing", "an empty cell among words", "a category of its own")
def test_missing_words(tmp_path: Path) -> None:
    x = encoded(opened(tmp_path, city=["", "Ulm"] * 20))
    assert x[:2, 1:].tolist() == [[1, 0], [0, 1]]


@held("Missing", "a label or a group without a value", "refused, with its line and how many more there are")
def test_missing_labels(tmp_path: Path) -> None:
    cells = ["a", "b", "", "b", "", *["a"] * 35]
    with refused("t.csv, line 4, column 'label'", rule="missing, and 1 more"):
        opened(tmp_path, label=cells)
    opened(tmp_path, ward=cells)
    with refused("t.csv, line 4, column 'ward'", rule="missing, and 1 more"):
        open_source(tmp_path / "t.csv", target="label", groups="ward")


@held("Missing", "`\\N`, as databases export it", "a missing number, category, date or label")
def test_nulls_of_databases(tmp_path: Path) -> None:
    cells = {
        "size": ["1.5", r"\N"] * 20,
        "city": ["Rome", "Oslo", r"\N", "Rome"] * 10,
        "day": ["2024-05-01", r"\N", "2024-05-03", r"\N"] * 10,
    }
    source = opened(tmp_path, **cells)
    kinds = {"x": "number", "size": "number", "city": "category", "day": "date"}
    assert source.schema.kinds == kinds
    assert any("size (20 of 40), city (10 of 40), day (20 of 40)" in note for note in source.notes)
    with refused("frame, row 2, column 'label'", rule="the label is missing, and 9 more"):
        open_source(pd.DataFrame({"x": X, "label": ["a", "b", r"\N", "a"] * 10}), target="label")


@held("Unseen", "a category that training never saw", "read as none of them; `predict` and `evaluate` count it")
def test_unseen_categories(tmp_path: Path) -> None:
    train = opened(tmp_path, city=["Bonn", "Ulm"] * 20)
    encoder = train.encode(torch.arange(N))
    later = opened(tmp_path, "later.csv", train.schema, city=["Rome", "Ulm"] * 20)
    assert encoder.transform(later.features)[:2, 1:].tolist() == [[0, 0], [0, 1]]


@held("Unseen", "a label or a group that training never saw", "refused, with the nearest one that it knows")
def test_unseen_labels(tmp_path: Path) -> None:
    train = opened(tmp_path)
    with refused("later.csv, line 2, column 'label'", "A", rule="did you mean 'a'"):
        opened(tmp_path, "later.csv", train.schema, label=["A", *LABEL[1:]])
    opened(tmp_path, ward=["north", "south"] * 20)
    schema = open_source(tmp_path / "t.csv", target="label", groups="ward").schema
    opened(tmp_path, ward=["nort", "south"] * 20)
    with refused("t.csv, line 2, column 'ward'", "nort", rule="did you mean 'north'"):
        open_source(tmp_path / "t.csv", target="label", groups="ward", schema=schema)


@held("Equal", "`0`, `0.0` and `+0`; `1` and `1.0`: integers, floats and text", "one value, in every format and file")
def test_equal_numbers(tmp_path: Path) -> None:
    source = opened(tmp_path, label=["0", "1", "0.0", "1.0"] * 10)
    assert source.classes == ("0", "1")


@held("Equal", "`true`, `TRUE` and `True`; `1` where a column was true and false", "one value")
def test_equal_truth_values(tmp_path: Path) -> None:
    train = opened(tmp_path, label=["true", "FALSE", "True", "false"] * 10)
    assert train.classes == ("False", "True")
    assert opened(tmp_path, "later.csv", train.schema, label=["1", "0"] * 20).y.tolist() == [1, 0] * 20


@held(
    "Equal",
    "`Yes`, `yes` and `YES`; a value with more spaces in it",
    "values of their own, and a note",
)
def test_words_that_look_alike(tmp_path: Path) -> None:
    source = opened(tmp_path, label=["Yes", "yes", "no", "no"] * 10)
    assert source.classes == ("Yes", "no", "yes")
    assert any("differ in case or spaces only: Yes (10), yes (10)" in note for note in source.notes)


@held("Equal", "`007` and `7`", "values of their own, as codes are; as numbers they are 7")
def test_codes_are_no_numbers(tmp_path: Path) -> None:
    assert opened(tmp_path, label=["007", "7"] * 20).classes == ("007", "7")


@held(
    "Numbers",
    "`1.012,50 €`, `$1,012.50`, `12 %`, `5 kg`, `(1,200)`",
    "numbers where all agree, and a note",
)
def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    cells = {"1.012,50 €": 1012.5, "$1,012.50": 1012.5, "12 %": 12, "5 kg": 5, "(1,200)": -1200}
    columns = {f"c{i}": [text, text.replace("1", "2").replace("5", "7")] * 20 for i, text in enumerate(cells)}
    source = opened(tmp_path, **columns)
    for name, (text, number) in zip(columns, cells.items(), strict=True):
        assert source.features[name].iloc[0] == number
        assert any(note.startswith(f"{name}: numbers") for note in source.notes), text


@held("Numbers", "`1,234` alone", "1234; 1.234 in a file with `;`; the note names the other; `--decimal` says which")
def test_three_digits_behind_a_comma(tmp_path: Path) -> None:
    source = opened(tmp_path, price=["1,234", "5,678"] * 20)
    assert 'price: numbers, "1,234" read as 1234; --decimal comma reads 1.234' in source.notes


@held("Numbers", "a few words among numbers", "refused, with the first one's line and the ways out")
def test_a_word_among_numbers(tmp_path: Path) -> None:
    with refused("t.csv, line 3, column 'x'", "many", rule="--categorical x"):
        opened(tmp_path, x=["1", "many", *["2"] * 38])


@held("Ids", "integers above 2⁵³, also with empty cells", "exact where they are handed on; never merged as numbers")
def test_long_ids(tmp_path: Path) -> None:
    ids = [None if i == 3 else 2**60 + i for i in range(N)]
    pd.DataFrame({"x": X, "id": pd.Series(ids, dtype="Int64"), "label": LABEL}).to_parquet(tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet", target="label")
    assert list(source.features) == ["x"]
    assert source.features.table.reader.arrow("id").to_pylist() == ids


@held("Ids", "`zip`, `customer_id`, leading zeros, different numbers of many digits", "numbers, with a note")
def test_codes_are_told(tmp_path: Path) -> None:
    different = [100_000 + 7 * i % 40 for i in range(N)]
    columns = {"zip": [i % 9 for i in range(N)], "customer_id": different, "nr": [f"{i % 9:05d}" for i in range(N)]}
    source = opened(tmp_path, **columns, total=different)
    assert any(
        f"(--categorical takes them as such, --ignore leaves them out): {names}" in note
        for names in ("zip, customer_id, nr, total",)
        for note in source.notes
    )


@held(
    "Dates",
    "dates of one form; 3/4 is in March unless a cell forbids it, 3.4. in April",
    "dates, and so in later files",
)
def test_dates(tmp_path: Path) -> None:
    train = opened(tmp_path, day=["3/4/2024", "13/4/2024"] * 20)
    later = opened(tmp_path, "later.csv", train.schema, day=["3/4/2024"] * N)
    assert later.features["day"].iloc[0] == pd.Timestamp("2024-04-03")


@held("Lists", "lists of one length, such as embeddings, also as text: [1, 2] or [1 2]", "as many numbers, with a note")
def test_lists_of_numbers() -> None:
    lists = list(np.eye(N)[:, :5])
    for cells in (lists, list(map(str, lists)), [str(cell.tolist()) for cell in lists]):
        source = open_source(pd.DataFrame({"e": cells, "label": LABEL}), target="label")
        assert "e: 5 numbers" in source.notes


@held("Lists", "lists of different lengths, of words, or objects", "refused, with the row; `--ignore` leaves them out")
def test_other_lists() -> None:
    with refused("frame, row 1, column 'e'", 2, rule="others have 1"):
        open_source(pd.DataFrame({"e": [[1.0], [1.0, 2.0]] * 20, "label": LABEL}), target="label")
    for cell, what in ((["a"], "lists"), ({"a": 1}, "nested values")):
        with refused("frame, column 'e'", what, rule="--ignore e"):
            open_source(pd.DataFrame({"e": [cell] * N, "label": LABEL}), target="label")


@held("Lists", "text that writes lists of different lengths, or of words", "words: a category or text")
def test_lists_as_words() -> None:
    for cells in (["[1, 2]", "[3]"], ["['a']", "['b', 'c']"]):
        source = open_source(pd.DataFrame({"e": cells * 20, "x": X, "label": LABEL}), target="label")
        assert source.schema.kinds == {"e": "category", "x": "number"}


@held("Labels", "bytes", "decoded as UTF-8")
def test_bytes() -> None:
    assert open_source(pd.DataFrame({"x": X, "label": [b"a", b"b"] * 20}), target="label").classes == ("a", "b")


@held("Labels", "lists, objects, dates or spans of time", "refused: a row has one label")
def test_no_labels() -> None:
    days, spans = pd.to_datetime(["2024-01-01", "2024-01-02"]), pd.to_timedelta(["1D", "2D"])
    cells: dict[str, Any] = {"lists": [["a"], ["b"]], "nested values": [{"a": 1}, {"a": 2}], "dates": days}
    for what, two in {**cells, f"values of the type {spans.dtype}": spans}.items():
        with refused("frame, column 'label'", what):
            open_source(pd.DataFrame({"x": X, "label": list(two) * 20}), target="label")
