"""Numbers as people write them are found, read and told."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skedastic.data import open_source
from skedastic.data.tables.dress import PLAIN, Dress, Hint, find_dress, told
from skedastic.data.tables.numbers import as_numbers
from tests.support.refusals import refused

COMMA, SEMICOLON = Hint("comma"), Hint(comma_likely=True)


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1,5", "-0,25", "12"], [1.5, -0.25, 12]),
        (["1.012,50 €", "7 €", "1.000.000,00 €"], [1012.5, 7, 1e6]),
        (["$1,012.50", "$7", "-$3.25"], [1012.5, 7, -3.25]),
        (["12 %", "7.5%", "-1 %"], [12, 7.5, -1]),
        (["5 kg", "12.5 kg", "7kg"], [5, 12.5, 7]),
        (["52,345", "1,000", "999"], [52345, 1000, 999]),
        (["12,34,567", "1,000"], [1234567, 1000]),  # lakhs
        (["1 012,5", "7\u00a0000,25", "3\u202f000"], [1012.5, 7000.25, 3000]),
        (["1'012.50", "7\u2019000.00"], [1012.5, 7000]),
        (["(1,200)", "300"], [-1200, 300]),  # as in accounting
        (["\u22125,5", "5,5"], [-5.5, 5.5]),
        (["EUR 5,10", "EUR 6,20"], [5.1, 6.2]),
        (["21.5 °C", "-3.0 °C"], [21.5, -3]),
        (["1,5E+03", "-2,25e-1", "7"], [1500, -0.225, 7]),  # as spreadsheets write them
    ],
)
def test_dressed_numbers_are_read(texts: list[str], numbers: list[float]) -> None:
    read, unparsable = as_numbers(pd.Series(texts, dtype=object))
    assert read.tolist() == numbers
    assert not unparsable.any()


@pytest.mark.parametrize(
    "texts",
    [
        ["1.5", "1,5", "2.000,1", "2,000.1"],  # both signs
        ["5 kg", "5 m"],
        ["$5", "€5"],
        ["5", "five"],
        ["A1", "A2"],
        ["2024-01-01", "2024-01-02"],
        ["10:30", "11:45"],
        ["1,2,3", "4,5,6"],
        ["192.168.1.10", "10.0.0.1"],
        ["--5", "5"],
        ["1 2 3", "4"],
    ],
)
def test_what_does_not_agree_is_no_dress(texts: list[str]) -> None:
    assert find_dress(texts) == ()


def test_three_digits_after_a_comma() -> None:
    texts = ["1,234", "5,678"]
    assert find_dress(texts)[0].number("1,234") == 1234
    assert find_dress(texts, SEMICOLON)[0].number("1,234") == 1.234
    assert find_dress(texts, COMMA)[0].number("1,234") == 1.234
    assert find_dress(["1.234,5", "1,5"], SEMICOLON)[0] == Dress("comma")
    assert told("price", texts, Dress("point")) == 'price: numbers, "1,234" read as 1234; --decimal comma reads 1.234'


def test_a_plain_number_is_plain() -> None:
    dress, texts = Dress("comma", "", "€"), ["1.012,50 €", "7 €"]
    assert told("price", texts, dress) == 'price: numbers, "1.012,50 €" read as 1012.5'
    assert as_numbers(pd.Series(["1.5", "2"]), PLAIN)[0].tolist() == [1.5, 2]
    assert np.isnan(as_numbers(pd.Series(["1,5", "2"]), PLAIN)[0]).tolist() == [True, False], "PLAIN is meant"


def table(tmp_path, name: str, prices: list[str], **columns: object) -> str:
    frame = pd.DataFrame(
        {"price": prices, "other": np.arange(len(prices)) % 7 * 1.0, "label": list("ab") * (len(prices) // 2)}
    )
    frame.assign(**columns).to_csv(tmp_path / name, index=False, sep=";")
    return str(tmp_path / name)


def test_what_training_found_holds_for_later_files(tmp_path: Path) -> None:
    train = open_source(table(tmp_path, "train.csv", ["1.000,50 €", "2,25 €"] * 20), target="label")
    assert train.features["price"].iloc[:2].tolist() == [1000.5, 2.25]
    assert 'price: numbers, "1.000,50 €" read as 1000.5' in train.notes
    later = table(tmp_path, "later.csv", ["1.000 €", "2 €"] * 20)
    test = open_source(later, target="label", schema=train.schema)
    assert test.features["price"].iloc[:2].tolist() == [1000, 2], "alone, 1.000 would be 1"
    english = table(tmp_path, "english.csv", ["1,000.50 €", "2.25 €"] * 20)
    with refused("english.csv, line 2, column 'price'", "1,000.50 €", rule="written as in training"):
        open_source(english, target="label", schema=train.schema)


def test_numbers_that_training_wrote_plainly_are_written_so(tmp_path: Path) -> None:
    train = open_source(table(tmp_path, "train.csv", ["1.5", "2.25"] * 20), target="label")
    for cells, rule in ((["128,54 €"] * 40, "as training wrote the column; write the column so"), (["x"] * 40, "mend")):
        with refused("test.csv, line 2, column 'price'", cells[0], rule=rule):
            open_source(table(tmp_path, "test.csv", cells), target="label", schema=train.schema)


def test_a_target_of_dressed_numbers_is_numbers(tmp_path: Path) -> None:
    prices = [f"{i},{i % 10}5 €" for i in range(40)]
    train = open_source(table(tmp_path, "train.csv", prices), target="price", ignore=["label"])
    assert train.y[:2].tolist() == [0.05, 1.15]
    assert not train.classes
    test = open_source(table(tmp_path, "test.csv", ["1.000,5"] * 2), target="price", schema=train.schema)
    assert test.y.tolist() == [1000.5, 1000.5]


def test_the_user_says_the_decimal_sign(tmp_path: Path) -> None:
    file = table(tmp_path, "t.csv", ["1.234", "5.678"] * 20)
    assert open_source(file, target="label").features["price"].iloc[0] == 1.234
    assert open_source(file, target="label", decimal="comma").features["price"].iloc[0] == 1234


MIXED = [{"price": 1.234, "label": "a"}, {"price": "2,5", "label": "b"}] * 10


@pytest.mark.parametrize("commas", [1, 3])
@pytest.mark.parametrize("as_file", [True, False])
def test_a_number_by_its_type_keeps_its_point_beside_text(tmp_path: Path, commas: int, as_file: bool) -> None:
    def opened(rows, **known):
        (tmp_path / "t.json").write_text(json.dumps(rows))
        return open_source(tmp_path / "t.json" if as_file else pd.DataFrame(rows), target="label", **known)

    rows = MIXED[:1] * 4 + MIXED[1:2] * 4 * commas
    place = f"{'t.json' if as_file else 'frame'}, row 4, column 'price'"
    with refused(place, "2,5", rule="is not a number, as 4 other cells"):
        opened(rows)
    words = [row | {"price": str(row["price"]).replace(".", ",")} for row in rows]
    train = opened(words)
    assert train.features["price"].iloc[[0, -1]].tolist() == [1.234, 2.5]
    for text in ("2,5", "1,234", "1.234,5", "1.234"):
        later = [{"price": 0.5, "label": "a"}, {"price": text, "label": "b"}]
        where = place.replace("row 4", "row 1")
        with refused(where, text, rule="may be another number than in training, which wrote a decimal comma"):
            opened(later, schema=train.schema)
    later = [{"price": 0.5, "label": "a"}, {"price": "", "label": "b"}, {"price": "7", "label": "b"}]
    read = opened(later, schema=train.schema)
    assert read.features["price"].iloc[[0, 2]].tolist() == [0.5, 7]
    assert train.schema.reading.dresses["price"] == Dress("comma")
    beside = [row | {"price": 1.234 if i % 2 else "n/a", "width": "0,5"} for i, row in enumerate(rows)]
    assert opened([row | {"width": f"{i},5"} for i, row in enumerate(beside)]).features["price"].iloc[1] == 1.234


def test_thousands_beside_decimal_commas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"price": ["12,5", "3,25"] * 20, "sold": ["1.234", "987"] * 20, "label": ["a", "b"] * 20})
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    source = open_source(tmp_path / "t.csv", target="label")
    assert source.features["sold"].iloc[:2].tolist() == [1234, 987]
    assert 'sold: numbers, "1.234" read as 1234; --decimal point reads 1.234' in source.notes
    frame.assign(price=[12.5, 3.25] * 20).to_csv(tmp_path / "p.csv", index=False, sep=";")
    assert open_source(tmp_path / "p.csv", target="label").features["sold"].iloc[0] == 1.234, (
        "points are the decimal sign"
    )


def test_what_the_separator_makes_likely_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sold": ["1.234", "987"] * 20, "label": ["a", "b"] * 20})
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    note = 'sold: numbers, "1.234" read as 1.234; --decimal comma reads 1234'
    assert note in open_source(tmp_path / "t.csv", target="label").notes
    frame.assign(width=["0.5", "12.25"] * 20).to_csv(tmp_path / "p.csv", index=False, sep=";")
    assert not any("--decimal" in note for note in open_source(tmp_path / "p.csv", target="label").notes), (
        "a point is one"
    )
