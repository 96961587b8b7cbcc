"""JSON: one table however the objects are written; types from all rows; what can't be a row or a column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from skedastic.data import open_source, open_table
from skedastic.data.sources import json_rows, json_tables
from skedastic.data.sources.files import read_files
from skedastic.data.sources.json_tables import JsonReader
from skedastic.data.tables.readers import ArrowReader
from skedastic.data.tables.table import Table
from tests.support.refusals import refused

Rows = list[dict[str, Any]]


def write(folder: Path, rows: Rows, name: str = "t.jsonl") -> Path:
    (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder / name


def arrow(table: Table) -> pa.Table:
    """Return the cells of a table in memory, with their types."""
    assert isinstance(table.reader, JsonReader)
    assert isinstance(table.reader.reader, ArrowReader)
    return table.reader.reader.table


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "PART", 7)
    monkeypatch.setattr(json_rows, "AT_A_TIME", 2)
    monkeypatch.setattr(json_tables, "AT_A_TIME", 2)


COLUMNS: list[tuple[list[Any], str]] = [
    ([1, None, 2], "int64"),
    ([1, 2, 2**63], "uint64"),
    ([-1, 2, 3, 2**63], "string"),
    ([1, 2, 3, 10**30], "string"),
    ([1, 2, 3, 0.5], "double"),
    ([0.5, 1, 2, 2**53], "double"),
    ([0.5, 1, 2, 2**53 + 1], "string"),
    ([2**60, 1, 2, 0.5], "string"),
    ([True, None, False], "bool"),
    ([True, False, True, 1], "string"),
    ([1, 2, 3, "x"], "string"),
    (["1", "2", "3", 4.0], "string"),
    ([None, None, None], "null"),
    ([None, None, None, "a"], "string"),
    ([[1, 2], [3, 4], [0.5, 1]], "list<item: double>"),
    ([[], [1], [2]], "list<item: int64>"),
    ([{"a": 1}, {"b": 2}], "struct<a: int64, b: int64>"),
]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("cells", "kind"), COLUMNS, ids=lambda v: str(v)[:30])
@pytest.mark.parametrize("form", ["lines", "list", "pretty list", "pretty objects", "utf-16"])
def test_the_type_of_a_column_comes_from_all_rows(cells: list[Any], kind: str, form: str, tmp_path: Path) -> None:
    rows: Rows = [{"n": i} if cell is None else {"n": i, "x": cell} for i, cell in enumerate(cells)]
    if not any("x" in row for row in rows):
        rows[0]["x"] = None
    path = write(tmp_path, rows)
    if form == "pretty objects":
        path.write_text("\n".join(json.dumps(row, indent=2) for row in rows))
    elif form != "lines":
        path.write_text(json.dumps(rows, indent=2 if form == "pretty list" else None))
    if form == "utf-16":
        path.write_bytes(path.read_text().encode("utf-16"))
    column = arrow(open_table(path))["x"]
    assert str(column.type).replace("element", "item") == kind
    for cell, read in zip(cells, column.to_pylist(), strict=True):
        if kind == "string" and not isinstance(cell, str):
            assert read == (None if cell is None else "4" if cell == 4.0 else str(cell))
        elif isinstance(cell, dict):
            assert {k: v for k, v in read.items() if v is not None} == cell
        else:
            assert read == cell


@pytest.mark.usefixtures("small_blocks")
def test_a_large_file_is_the_same_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: Rows = [{"a": i, "late": i + 0.5} if i > 3 else {"a": str(i) if i == 2 else i} for i in range(7)]
    paths = [write(tmp_path, rows, "1.jsonl"), write(tmp_path, rows[::-1], "2.jsonl")]
    small = read_files(paths)
    monkeypatch.setattr("skedastic.data.sources.gathered.LARGE", 0)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    large = read_files(paths)
    for name in ("a", "late"):
        assert large.read(name).equals(small.read(name)), name
    assert large.files == small.files == (("1.jsonl", 7), ("2.jsonl", 7))
    assert len(list(folder.iterdir())) == 1
    del large
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("cells", "row", "rule"),
    [
        ([1, 2, 3, [4]], 3, "it is a list, and t.jsonl, line 1 has a number"),
        (["a", {"b": 1}], 1, "it is an object, and t.jsonl, line 1 has text"),
        ([None, [1], None, None, {"a": 1}], 4, "it is an object, and t.jsonl, line 2 has a list"),
        ([{"a": 1}, {"a": 2}, {"a": 3}, True], 3, "it is a truth value, and t.jsonl, line 1 has an object"),
        ([[1], [2], [3], ["a"]], 3, "entries of another kind"),
        ([[1, "a"], [2]], 0, "entries of another kind"),
    ],
)
def test_a_column_of_two_kinds_is_refused_where_it_is_read(
    cells: list[Any], row: int, rule: str, tmp_path: Path
) -> None:
    rows: Rows = [{"x": i, "odd": cell, "label": "ab"[i % 2]} for i, cell in enumerate(cells)] * 2
    path = write(tmp_path, rows)
    with refused(f"t.jsonl, line {row + 1}, column 'odd'", rule=rule) as caught:
        open_source(path, target="label")
    assert "--ignore odd" in str(caught.value)
    if len(cells) > 2:
        assert list(open_source(path, target="label", ignore=["odd"]).features) == ["x"], "the way out is one"
    (tmp_path / "t.json").write_text(json.dumps(rows))
    with refused(f"t.json, row {row}, column 'odd'"):
        open_table(tmp_path / "t.json").read("odd")
    with refused(f"t.json, row {row}, column 'odd'"):
        list(open_table(tmp_path / "t.json").batches(["x", "odd"], 2))


def test_errors_name_the_line_of_the_file(tmp_path: Path) -> None:
    rows: Rows = [{"x": str(i), "label": "ab"[i % 2]} for i in range(6)]
    write(tmp_path, rows, "1.jsonl")
    path = write(tmp_path, [*rows[:4], {"x": "four", "label": "a"}, rows[5]], "2.jsonl")
    path.write_text("\n\n" + path.read_text().replace("\n", "\r\n \n"))
    with refused("2.jsonl, line 11, column 'x'", "four"):
        open_source(str(tmp_path / "*.jsonl"), target="label")
    path.write_text("\n".join(json.dumps(row, indent=1) for row in [*rows[:4], {"x": "four", "label": "a"}]))
    with refused("2.jsonl, line 17, column 'x'", "four"):
        open_source(path, target="label")
    (tmp_path / "2.json").write_text(json.dumps([*rows[:4], {"x": "four", "label": "a"}]))
    with refused("2.json, row 4, column 'x'", "four"):
        open_source(tmp_path / "2.json", target="label")


@pytest.mark.parametrize("part", [1, 3, 2**20])
def test_the_place_of_what_is_no_json(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "PART", part)
    path = tmp_path / "t.json"
    good = '{"a": "ü, 1"}'
    for text, place, rule in (
        (f"{good}\n{good[:-1]}", "line 2", "column 13: expecting ',' delimiter"),
        (f"{good}\n{good},\n{good}", "line 2", "column 14: extra data"),
        (f"[{good},\n {good}", "line 2", "column 15: expecting ',' or ']'"),
        (f"[{good},\n]", "line 2", "column 1: expecting value"),
        (f"[{good}] {good}", "line 1", "column 17: something follows the list"),
        (f"[{good}\n\n{good}]", "line 3", "column 1: expecting ',' or ']'"),
        ('[{"a": "x\ny"}]', "line 1", "column 10: invalid control character at"),
        ('[{"a": tru}]', "line 1", "column 8: expecting value"),
        ("[", "line 1", "column 2: expecting value"),
        ("nothing", "line 1", "column 1: expecting value"),
        (f'{good}\n{{"a": {"9" * 5000}}}', "line 2", "thousands of digits"),
        (f'[{{"a": {"[" * 100_000}', "row 0", "nested too deeply"),
        ('[{"a": {"b": 1, "c": 2, "b": 3}}]', "row 0", "the key 'b' occurs twice"),
        ("[[1, 2]]", "row 0", "must be an object"),
    ):
        path.write_text(text, encoding="utf-8")
        with refused(f"{path}, {place}", rule=rule):
            open_table(path)


def test_lines_that_are_decoded_together_are_each_an_object(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    for text, line in (('{"a": 1}\n{"a": 1}, {"a": 2}\n', 2), ('{"a": 1}\n{"a": [1\n2]}\n', 2), ('{"a": 1}\n7\n', 2)):
        path.write_text(text)
        with refused(f"{path}, line {line}"):
            open_table(path)


def test_one_object_is_a_row_where_it_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for row in ({"x": 1, "city": "Rome"}, {"x": 1, "point": {"a": 1}}, {"embedding": [1, 2, 3]}):
        path.write_text(json.dumps(row))
        assert len(open_table(path)) == 1


def test_files_hold_the_same_keys_in_any_order(tmp_path: Path) -> None:
    first = write(tmp_path, [{"a": 1}, {"b": 2, "a": 3}], "1.jsonl")
    second = write(tmp_path, [{"b": 4, "a": 5.5}], "2.jsonl")
    table = read_files([first, second])
    assert table.names == ("a", "b")
    np.testing.assert_array_equal(table.read("a"), [1, 3, 5.5])
    np.testing.assert_array_equal(table.read("b"), [np.nan, 2, 4])
    with refused(str(write(tmp_path, [{"a": 1}], "3.jsonl")), rule="it lacks 'b'"):
        read_files([first, tmp_path / "3.jsonl"])


def test_a_key_without_a_name_and_half_a_character(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"": 1, "x": "a\\ud800", "y": 2}\n')
    table = open_table(path)
    assert table.names == ("x", "y")
    assert table.read("x").tolist() == ["a?"]
    assert table.notes == ("left out: the column without a name",)
