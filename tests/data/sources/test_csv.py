"""CSV: the dialect, rows that are not whole, and the lines that errors name; files that are read through Parquet."""

from __future__ import annotations

import csv
import io
import re
import weakref
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from skedastic.data import open_source, open_table
from skedastic.data.sources import csv_dialect, csv_tables, gathered
from skedastic.data.sources.csv_dialect import read_dialect
from skedastic.data.sources.csv_rows import rows, whole_rows
from skedastic.data.sources.files import read_files
from skedastic.data.sources.headers import column_names
from skedastic.data.tables.table import Table
from skedastic.errors import UserError
from skedastic.runtime.limits import limits
from tests.support.refusals import refused


def write(folder: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def cells(table: Table) -> list[list[str]]:
    return [list(row) for row in zip(*(table.read(n).tolist() for n in table.names), strict=True)]


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b,c\n1;2\n3;4\n", ";"),
        ("a|b|c\n1|2,5|3;4\n", "|"),
        ("sep=^\na^b\n1^2\n", "^"),
        ("sep=,\na;b,c\n1;2,3\n", ","),
        ('"a;b","c;d"\n"1;2","3;4"\n', ","),
        ("a,b\n" + '"x;y;z",1\n' * 20, ","),
        ("a;b\n" + '"1,2,3";4\n' * 20, ";"),
        ("a\tb, in kg\n1,5\t2\n", "\t"),
        ("a;b\n1;2\n3;4;5\n6;7\n", ";"),  # the second row is at fault, not the separator
        ("a\n1\n", ","),
        ("a,b", ","),
    ],
)
def test_the_separator_is_what_rows_agree_on(text: str, separator: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    assert read_dialect(path).separator == separator
    if "3;4;5" not in text and text != "a,b":
        assert open_table(path).separator == separator


def test_files_may_differ_in_their_dialect_and_not_in_their_columns(tmp_path: Path) -> None:
    first = write(tmp_path, "x;ä\n1,5;a\n", "1.csv", "cp1252")
    second = write(tmp_path, "x,ä\n2,b\n", "2.csv")
    table = read_files([first, second])
    assert cells(table) == [["1,5", "a"], ["2", "b"]]
    assert table.separator == ""
    assert table.notes == ('1.csv: read as CSV with ";" between cells, in Windows-1252',)
    same = read_files([first, first])
    assert same.separator == ";"
    assert same.notes == ('read as CSV with ";" between cells, in Windows-1252',)
    with refused(str(write(tmp_path, "ä,x\n1,2\n", "3.csv")), rule="in another order"):
        read_files([second, tmp_path / "3.csv"])


def test_the_encoding_is_that_of_the_whole_file(tmp_path: Path) -> None:
    rows = "1,plain\n" * 100_000
    late = write(tmp_path, f"x,city\n{rows}2,Köln\n", encoding="cp1252")
    assert read_dialect(late).encoding == "utf-8-sig", "the head says nothing else"
    table = open_table(late)
    assert table.read("city").iloc[-1] == "Köln"
    assert table.notes == ("read as CSV in Windows-1252",)
    groß = write(tmp_path, "city\n" + "groß“\nKöln\nZürich\n", encoding="cp1252")
    assert open_table(groß).read("city")[0] == "groß“", "two bytes that happen to be UTF-8"
    (tmp_path / "mac.csv").write_bytes(b"city\nGen\x8fve\n")
    with refused(str(tmp_path / "mac.csv"), rule="not a text file in UTF-8"):
        open_table(tmp_path / "mac.csv")
    (tmp_path / "cut.csv").write_bytes("city\nKöln\nZürich\nä".encode()[:-1])
    with refused(f"{tmp_path / 'cut.csv'}, line 4", rule="not UTF-8"):
        open_table(tmp_path / "cut.csv")
    (tmp_path / "cut.csv").write_bytes("x,y\n1,2\n".encode("utf-16")[:-1])
    with refused(str(tmp_path / "cut.csv"), rule="not a text file"):
        open_table(tmp_path / "cut.csv")


def test_columns_without_a_name_are_told_apart_from_empty_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a,,b,,\n" + "1,,2,,\n" * 2000 + "3,,4,,late\n"
    for large in (gathered.LARGE, 0):
        monkeypatch.setattr("skedastic.data.sources.gathered.LARGE", large)
        table = open_table(write(tmp_path, text))
        assert table.names == ("a", "b")
        assert cells(table)[-1] == ["3", "4"]
        assert table.notes == (
            "left out: the column without a name",
            "left out: 2 empty columns without a name",
        )
    shifted = write(tmp_path, "x,y\n1,1,2\n1,3,4\n")
    with refused(f"{shifted}, line 2", 3, rule="names 2 columns"):
        open_table(shifted)  # the first cells are no names of rows: two are the same


def test_names_are_known_without_reading_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_dialect, "HEAD", 20)
    header = ";".join(f'"name\n{i}, long"' for i in range(50))
    path = write(tmp_path, f"sep=;\n{header}\n" + ";".join("1" for _ in range(50)))
    assert column_names(path) == list(open_table(path).names) == [f"name {i}, long" for i in range(50)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_quotes_after_a_backslash(tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def escaped(cell: str) -> str:  # as Spark writes it: backslashes that stand before a quote are doubled
        return '"' + re.sub(r'(\\*)("|\Z)', lambda found: found[1] * 2 + ("\\" + found[2]) * bool(found[2]), cell) + '"'

    monkeypatch.setattr(csv_tables, "PART", 7)
    rng = np.random.default_rng(0)
    for _ in range(40):
        rows = [["".join(rng.choice([*'ab,\n\\"é', '\\"'], 6)) for _ in range(3)] for _ in range(5)]
        rows[0][0] = 'say "a, b"'
        text = "x,y,z\n" + "".join(",".join(map(escaped, row)) + "\n" for row in rows)
        table = open_table(write(tmp_path, text, encoding=encoding))
        assert cells(table) == rows
        assert 'with \\" for a quote within quotes' in table.notes[0]


@pytest.mark.parametrize("names", ['5" pipe,y\n', '"pipe",y\n', 'x,"y ""z"""\n'])
def test_names_alone_may_hold_quotes(tmp_path: Path, names: str) -> None:
    with refused("t.csv", rule="at least one"):
        open_table(write(tmp_path, names))


def test_names_apart_by_spaces_are_one_and_a_refusal_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, '"x" "z" "label"\n"1" 1 2 "a"\n"2" 3 4 "b"\n')
    with refused("t.csv, target column", "label", rule="one column, since no comma, tab, semicolon or |"):
        open_source(path, target="label")


def test_names_that_never_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 'a,b,"c\n1,2,"x"\n')
    with refused(f"{path}, line 1", rule="not closed before the end"):
        open_table(path)
    path = write(tmp_path, 'a,b,"c\n' + "1,2,3\n" * 40_000)
    with refused(f"{path}, line 1", rule="not closed before the end"):
        open_table(path)
    path = write(tmp_path, '\nx,"y\n1,2\n3,4\n')
    with refused(f"{path}, line 2", rule="not closed before the end"):
        open_table(path)
    monkeypatch.setattr(csv_dialect, "HEAD", 4)
    monkeypatch.setattr(csv_dialect, "MOST_HEAD", 12)
    with refused(f"{path}, line 1", rule="not closed before the end"):
        column_names(path)


EOLS = ("\n", "\r\n", "\r")


@pytest.mark.parametrize("eol", EOLS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_line_is_the_line_of_the_file_where_the_cell_begins(eol: str, encoding: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text, number = f'sep=;{eol}{eol}"x{eol}(mm)";y;z{eol}', 0
    for _ in range(30):
        text += eol * int(rng.integers(2))
        for column in range(3):
            cell = f"<{number}é>"
            cell = f'"{cell}{eol * int(rng.integers(3))}""b;"' if rng.random() < 0.5 else cell
            text, number = text + cell + (eol if column == 2 else ";"), number + 1
    table = open_table(write(tmp_path, text, encoding=encoding))
    assert table.lines is not None
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    for n in range(number):
        row, name = n // 3, table.names[n % 3]
        assert table.read(name)[row].startswith(f"<{n}é>")
        assert table.lines(name, 0, row) == plain.count("\n", 0, plain.index(f"<{n}é>")) + 1


def test_errors_name_the_line_in_the_file_of_several(tmp_path: Path) -> None:
    good = "note,x,label\n" + "".join(f'"two\nlines",{i},{"ab"[i % 2]}\n' for i in range(6))
    write(tmp_path, good, "1.csv")
    write(tmp_path, good.replace(",4,a", ",four,a"), "2.csv")
    with refused("2.csv, line 11, column 'x'", "four"):
        open_source(str(tmp_path / "*.csv"), target="label")
    part = list(open_table(str(tmp_path / "*.csv")).batches(["x"], 4))[2]
    assert part.place("x").at(2) == "2.csv, line 11, column 'x'", "as a part of the rows is read for predictions"


def by_python(path: Path) -> list[list[str]] | str:
    """Return the rows as Python's csv reads them, or the error."""
    dialect = read_dialect(path)
    try:
        return [[c for c, n in zip(r.cells, dialect.names, strict=True) if n] for r in whole_rows(path, dialect)]
    except UserError as error:
        return str(error)


def by_arrow(path: Path) -> list[list[str]] | str:
    """Return the rows as a table holds them, or the error."""
    try:
        return cells(csv_tables.read_csv([path], "t"))
    except UserError as error:
        return str(error)


def test_faults_are_found_wherever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts and every place of a quote: what is read is what Python's csv reads, or a fault is named."""
    rng = np.random.default_rng(1)
    tokens = ["a", "b,", ",", '"', '"', "\n", "\r\n", "\r", " ", "ü", '""', '",', '\n"']
    read = refusals = 0
    for _ in range(600):
        monkeypatch.setattr(csv_tables, "PART", int(rng.choice([1, 2, 5, 1000])))
        header = str(rng.choice(["x,y\n", "x\n", '"x\ny",z\n', "sep=,\nx,y\n", "x;y\n"]))
        path = write(tmp_path, header + "".join(rng.choice(tokens, int(rng.integers(1, 20)))))
        expected, found = by_python(path), by_arrow(path)
        assert found == expected
        read, refusals = read + isinstance(found, list), refusals + isinstance(found, str)
    assert min(read, refusals) > 30


def test_a_row_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, f'x,y\n1,2\n"{"a b " * limits().cell}",1\n')
    with refused(f"{path}, line 3", rule=f"more than {limits().cell:,} bytes"):
        open_table(path)


def test_spaces_before_quotes_are_dropped_only_where_cells_have_them(tmp_path: Path) -> None:
    spaced = write(tmp_path, 'x, "y"\n1, "a, b"\n2, "c\nd"\n3,e\n')
    table = open_table(spaced)
    assert cells(table) == [["1", "a, b"], ["2", "c\nd"], ["3", "e"]]
    assert table.lines is not None
    assert [table.lines("x", 0, row) for row in range(3)] == [2, 3, 5]
    write(tmp_path, 'x, y\n1, "2"\n3, "4", 5\n')
    with refused(f"{spaced}, line 3", 3):
        open_table(spaced)
    kept = open_table(write(tmp_path, 'x,y\n1,"say, ""hi"""\n'))
    assert cells(kept) == [["1", 'say, "hi"']]
    assert not kept.notes


def test_the_limit_of_python_stays_as_it_was(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    path = write(tmp_path, f'x,y\n"{"a" * (before + 1)}\n",1\n')
    assert [row.line for row in rows(path, read_dialect(path))] == [2]
    assert csv.field_size_limit() == before
    buffer = io.StringIO()
    csv.writer(buffer).writerow(["a" * 10, "b\nc"])
    assert cells(open_table(write(tmp_path, f"x,y\n{buffer.getvalue()}"))) == [["a" * 10, "b\nc"]]


@pytest.mark.parametrize("last", ["1,2", "", "1,2,3"], ids=["plain", "blank", "refused"])
def test_no_thread_of_pyarrow_holds_a_function_of_pythons_after_the_read(tmp_path: Path, monkeypatch, last) -> None:
    """It would let go of it when the interpreter has ended, and abort the process."""
    made, waits, make = [], [], csv_tables._row_handler

    def remembered(dialect):
        made.append(weakref.ref(handler := make(dialect)))
        return handler

    class Watched(Event):
        def wait(self, timeout=None) -> bool:
            waits.append(super().wait(timeout))
            return waits[-1]

    monkeypatch.setattr(csv_tables, "_row_handler", remembered)
    monkeypatch.setattr(csv_tables, "Event", Watched)
    file = tmp_path / "t.csv"
    file.write_text("a,b\n" + "1,2\n" * 400_000 + f"{last}\n" + "1,2\n" * 10)
    if last.count(",") == 2:
        with pytest.raises(UserError):
            csv_tables.read_csv([file], "t.csv")
    else:
        csv_tables.read_csv([file], "t.csv")
    assert waits
    assert all(waits)
    assert [ref() for ref in made] == [None] * len(waits)


def test_rows_longer_than_a_block_are_read_with_those_before_them(tmp_path: Path, monkeypatch) -> None:
    """pyarrow refuses the row after it gave some: these come once."""
    monkeypatch.setattr(csv_tables, "BLOCK", 2**12)
    cells = [f"cell {i} " + "x" * (3 if i != 700 else 2**14) for i in range(1000)]
    path = tmp_path / "a.csv"
    path.write_text("number,text\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    table = csv_tables.read_csv([path], "a.csv")
    assert table.read("text").tolist() == cells
    assert table.read("number").tolist() == [str(i) for i in range(1000)]


def test_large_files_are_read_as_small_ones(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f"{i},é{i}\n" for i in range(3000)))
    small = csv_tables.read_csv([path], "a.csv")
    monkeypatch.setattr(gathered, "LARGE", 100)
    monkeypatch.setattr(gathered, "GROUP", 2**12)
    monkeypatch.setattr(csv_tables, "BLOCK", 2**11)
    large = csv_tables.read_csv([path], "a.csv")
    for name in ("a", "b"):
        assert large.read(name).tolist() == small.read(name).tolist()
    parts = [part.read("a").tolist() for part in large.batches(["a", "b"], 700)]
    assert list(map(len, parts)) == [700, 700, 700, 700, 200]
    assert [cell for part in parts for cell in part] == small.read("a").tolist()
