"""The names of sources and of their columns, known before anything is read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skedastic.data import open_table
from skedastic.data.sources import files, names
from skedastic.data.sources.headers import SMALL, column_names
from tests.support.refusals import refused


def test_the_endings_are_those_that_are_read() -> None:
    assert tuple(files._READERS) == names.TABLES


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".json"])
def test_columns_are_those_of_the_table(ending, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a b": [1, 2], "ü": ["x", "y"], "c": [None, 3.0]}, index=pd.Index([7, 9]))
    path = tmp_path / f"table{ending}"
    if ending == ".parquet":
        frame.to_parquet(path)
    elif ending in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    else:
        frame.to_json(path, orient="records", lines=ending != ".json", force_ascii=False)
    assert column_names(path) == list(open_table(path).all_names) == list(frame.columns)


def test_columns_are_unknown_where_reading_would_tell(tmp_path: Path) -> None:
    for name, content in (
        ("large.jsonl", '{"a": 1}\n' * (SMALL // 9 + 1)),
        ("cut.jsonl", '{"a": 1'),
        ("numbers.json", "[1, 2]"),
        ("one.arrow", "no arrow"),
    ):
        (tmp_path / name).write_text(content)
        assert column_names(tmp_path / name) is None, name
    np.savez(tmp_path / "arrays.npz", X=np.zeros((2, 2)))
    assert column_names(tmp_path / "arrays.npz") is None


def test_an_impossible_header_is_refused(tmp_path: Path) -> None:
    for name, content, value, rule in (
        ("twice.csv", "a,a\n1,2\n", "a", "occurs twice"),
        ("nothing.csv", " , \n1,2\n", None, "must name the columns"),
        ("broken.parquet", "no parquet", None, "can't be read as a parquet table"),
    ):
        (tmp_path / name).write_text(content)
        with refused(str(tmp_path / name), value, rule=rule):
            column_names(tmp_path / name)
