"""Readers hand on every cell as it is: integers of any size stay whole where cells are missing."""

from decimal import Decimal
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skedastic.data.sources.files import read_files
from skedastic.data.tables.readers import ColumnReader, frame_reader, to_arrow
from tests.support.refusals import refused

BIG = [2**53 + 1, None, 2**62 + 3, -5]
TABLE = pa.table(
    {
        "id": pa.array(BIG),
        "unsigned": pa.array([2**64 - 1, 0, None, 1], pa.uint64()),
        "flag": pa.array([True, None, False, True]),
        "word": pa.array(["a", None, "", "b"]),
        "list": pa.array([[1, 2], [3], None, []]),
    }
)


def readers(folder: Path) -> dict[str, ColumnReader]:
    pq.write_table(TABLE, folder / "t.parquet")
    with pa.OSFile(str(folder / "t.arrow"), "wb") as file, pa.ipc.new_file(file, TABLE.schema) as out:
        out.write_table(TABLE, max_chunksize=3)
    return {
        "parquet": read_files([folder / "t.parquet"]).reader,
        "arrow": read_files([folder / "t.arrow"]).reader,
        "an Arrow table": frame_reader(TABLE),
        "Polars": frame_reader(pl.from_arrow(TABLE)),
        "pandas": frame_reader(TABLE.to_pandas(types_mapper=pd.ArrowDtype)),
    }


@pytest.mark.parametrize("kind", ["parquet", "arrow", "an Arrow table", "Polars", "pandas"])
def test_cells_come_out_as_they_went_in(kind: str, tmp_path: Path) -> None:
    reader = readers(tmp_path)[kind]
    for name in TABLE.column_names:
        assert reader.arrow(name).to_pylist() == TABLE[name].to_pylist()
        parts = [part.arrow(name).to_pylist() for part in reader.batches([name], 3)]
        assert [*chain(*parts)] == TABLE[name].to_pylist()
        assert len(parts) == 2
    ids = reader.read("id")
    assert [None if pd.isna(v) else int(v) for v in ids] == BIG
    assert ids.dtype.kind == "i"
    assert int(reader.read("unsigned")[0]) == 2**64 - 1
    assert reader.read("flag")[[0, 2, 3]].tolist() == [True, False, True]


def test_the_type_is_that_of_all_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([1, 2], pa.int32())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": pa.array([2**40], pa.int64())}), tmp_path / "b.parquet")
    reader = read_files([tmp_path / "a.parquet", tmp_path / "b.parquet"]).reader
    assert reader.type("x") == pa.int64()
    assert reader.read("x").tolist() == [1, 2, 2**40]
    assert [part.arrow("x").to_pylist() for part in reader.batches(["x"], 2)] == [[1, 2], [2**40]]


def test_cells_of_several_types_become_text() -> None:
    assert to_arrow(pd.Series([1, "a", None, 2**70], dtype=object)).to_pylist() == ["1", "a", None, str(2**70)]
    assert to_arrow(pd.Series([np.array([1.5]), None], dtype=object)).to_pylist() == [[1.5], None]


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (pa.array([1, 2]), pa.array([3.5]), pa.float64()),
        (pa.array(["a"]), pa.array(["b"]).dictionary_encode(), pa.string()),
        (pa.array(["a"], pa.string_view()), pa.array(["b"], pa.large_string()), pa.string()),
        (pa.array([2**63 + 1], pa.uint64()), pa.array([-1]), pa.decimal128(20)),
        (pa.array([None], pa.null()), pa.array([True]), pa.bool_()),
    ],
)
def test_parts_of_several_types_are_one_column(
    first: pa.Array, second: pa.Array, kind: pa.DataType, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"x": first}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": second}), tmp_path / "b.parquet")
    reader = read_files([tmp_path / "a.parquet", tmp_path / "b.parquet"]).reader
    assert reader.type("x") == kind
    assert [int(v) if isinstance(v, Decimal) else v for v in reader.arrow("x").to_pylist()] == [
        *first.to_pylist(),
        *second.to_pylist(),
    ]


def test_parts_that_can_be_no_one_column_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": ["a"]}), tmp_path / "b.parquet")
    with refused("b.parquet, column 'x'", "string", rule="int64 in the files before"):
        read_files([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    pq.write_table(pa.table({"x": [2**53 + 1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [0.5]}), tmp_path / "b.parquet")
    with refused("columns 'x'", rule="save all files with one type"):
        read_files([tmp_path / "a.parquet", tmp_path / "b.parquet"]).reader.read("x")
