"""What each reader of tables does with awkward files: one row for each trouble, which the tests hold.

A page of the documentation is written from these rows.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq


class Awkward(NamedTuple):
    """A trouble, and what is done with it.

    Parameters
    ----------
    kind : str
        The heading that it belongs under.
    what : str
        What is awkward about the files.
    files : dict of str to bytes
        A file of each ending; all of them hold the same.
    does : str
        What the reader does, in words.
    cells : dict of str to list
        The cells of each column as text, "" where missing, where the files are read.
    notes : tuple of str
        What the user is told, where the files are read.
    where : str
        The place of the error where the files are refused, behind the name of the file, such as ", line 3".
    rule : str
        A few words of that error.
    """

    kind: str
    what: str
    files: dict[str, bytes]
    does: str
    cells: Mapping[str, list[str]] = MappingProxyType({})
    notes: tuple[str, ...] = ()
    where: str = ""
    rule: str = ""


def both(*rows: dict[str, Any]) -> dict[str, bytes]:
    """Return objects as JSON lines and as a list, in one line and over many."""
    return {
        "jsonl": "".join(f"{json.dumps(row)}\n" for row in rows).encode(),
        "json": json.dumps(rows).encode(),
        "pretty.json": json.dumps(rows, indent=2).encode(),
    }


def binary(**columns: Any) -> dict[str, bytes]:
    """Return columns as Parquet and as Arrow."""
    table, parquet, arrow = pa.table(columns), io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    feather.write_feather(table, arrow)
    return {"parquet": parquet.getvalue(), "arrow": arrow.getvalue()}


PLAIN = {"x": ["1", "2"], "city": ["Köln", "Rome"]}
TEXT = "x,city\n1,Köln\n2,Rome\n"
ROWS = ({"x": 1, "city": "Köln"}, {"x": 2, "city": "Rome"})
LONG = 10**24 + 1
WIDE = 10_000
UTF_8 = json.dumps(ROWS, ensure_ascii=False)

AWKWARD = [
    # encodings
    Awkward(
        "Encoding",
        "a byte order mark before UTF-8",
        {"csv": TEXT.encode("utf-8-sig"), "json": UTF_8.encode("utf-8-sig")},
        "read as without it",
        PLAIN,
    ),
    Awkward(
        "Encoding",
        "CSV in UTF-16, as spreadsheets save “Unicode text”",
        {"csv": TEXT.encode("utf-16"), "le.csv": TEXT.encode("utf-16-le")},
        "read, with a note",
        PLAIN,
        ("read as CSV in UTF-16",),
    ),
    Awkward(
        "Encoding",
        "JSON in UTF-16",
        {"json": UTF_8.encode("utf-16"), "le.json": UTF_8.encode("utf-16-le"), "be.json": UTF_8.encode("utf-16-be")},
        "read",
        PLAIN,
    ),
    Awkward(
        "Encoding",
        "CSV in Windows-1252 or Latin-1, as spreadsheets save “CSV”",
        {"csv": TEXT.encode("cp1252"), "latin.csv": TEXT.encode("latin-1")},
        "read, with a note",
        PLAIN,
        ("read as CSV in Windows-1252",),
    ),
    Awkward(
        "Encoding",
        "JSON in Windows-1252",
        {"jsonl": '{"x": 1}\n{"x": "Köln"}\n'.encode("cp1252")},
        "refused, with the line: JSON is UTF-8",
        where=", line 2",
        rule="not UTF-8",
    ),
    Awkward(
        "Encoding",
        "UTF-8 with a few bytes that are none",
        {"csv": "city\nKöln\nZürich\n".encode() + b"Gen\xe8ve\n"},
        "refused, with the line",
        where=", line 4",
        rule="not UTF-8",
    ),
    Awkward(
        "Encoding",
        "a zero byte in text",
        {"csv": b"x,y\nab\0c,1\n"},
        "refused: it is no text",
        rule="not a text file",
    ),
    Awkward(
        "Encoding",
        "a compressed file that is named as a CSV file",
        {"csv": gzip.compress(TEXT.encode())},
        "refused: unpack it",
        rule="unpack it",
    ),
    Awkward(
        "Encoding",
        "a workbook that is named as a CSV file",
        {"csv": b"PK\x03\x04\x14\0\6\0"},
        "refused: save the sheet as CSV",
        rule="workbook",
    ),
    # separators
    Awkward(
        "Separator",
        "semicolons between cells",
        {"csv": TEXT.replace(",", ";").encode(), "tsv": TEXT.replace(",", ";").encode()},
        "read, with a note",
        PLAIN,
        ('read as CSV with ";" between cells',),
    ),
    Awkward(
        "Separator",
        "tabs between cells of a .csv file",
        {"csv": TEXT.replace(",", "\t").encode()},
        "read, with a note",
        PLAIN,
        ("read as CSV with tabs between cells",),
    ),
    Awkward(
        "Separator",
        "commas between the words of a name",
        {
            "csv": b"income, before tax, in EUR;age\n1,5;31\n2;45\n",
            "quoted.csv": b'"income, before tax, in EUR";age\n1,5;31\n2;45\n',
        },
        "the separator is what all rows agree on, outside quotes",
        {"income, before tax, in EUR": ["1,5", "2"], "age": ["31", "45"]},
        ('read as CSV with ";" between cells',),
    ),
    Awkward(
        "Separator",
        "as many decimal commas as commas in the names",
        {"csv": b"length, mm;width, mm\n1,5;2,5\n1,7;2,8\n"},
        "the comma before a space is no separator",
        {"length, mm": ["1,5", "1,7"], "width, mm": ["2,5", "2,8"]},
        ('read as CSV with ";" between cells',),
    ),
    Awkward(
        "Separator",
        "semicolons within the cells of a comma-separated file",
        {"csv": b"id,where,n\n1,52.1;13.4,a\n2,48.1;11.6,b\n"},
        "read with commas between cells",
        {"id": ["1", "2"], "where": ["52.1;13.4", "48.1;11.6"], "n": ["a", "b"]},
    ),
    Awkward(
        "Separator",
        "the line `sep=;` that Excel reads and writes",
        {"csv": b"sep=;\nx;y\n1,5;2\n", "quoted.csv": b'"sep=;"\r\nx;y\r\n1,5;2\r\n'},
        "skipped and obeyed, with a note",
        {"x": ["1,5"], "y": ["2"]},
        ('read as CSV with ";" between cells, with the names of the columns in line 2',),
    ),
    # names of columns
    Awkward(
        "Names of columns",
        "a line break within a name",
        {"csv": b'"width\n(mm)","a\r\nb"\n1,2\n'},
        "a space instead",
        {"width (mm)": ["1"], "a b": ["2"]},
    ),
    Awkward(
        "Names of columns",
        "space around names",
        {"csv": b" x , y\n1,2\n"},
        "dropped",
        {"x": ["1"], "y": ["2"]},
    ),
    Awkward(
        "Names of columns",
        "blank lines above them",
        {"csv": b"\n  \nx,y\n1,2\n"},
        "skipped, with a note",
        {"x": ["1"], "y": ["2"]},
        ("read as CSV with the names of the columns in line 3",),
    ),
    Awkward(
        "Names of columns",
        "a title above them",
        {"csv": b"Report of 2024\n\nx,y\n1,2\n"},
        "refused: the names must stand above all else",
        where=", line 3",
        rule="must stand above all else",
    ),
    Awkward(
        "Names of columns",
        "two columns of one name",
        {"csv": b"x,y, x\n1,2,3\n", "linebreak.csv": b'"x\n1",x 1\n1,2\n'},
        "refused",
        rule="occurs twice",
    ),
    Awkward(
        "Names of columns",
        "empty columns behind the last one, as spreadsheets write",
        {"csv": b"x,y,,\n1,2,,\n3,4,,\n", "rows.csv": b"x,y\n1,2,,\n3,4,,\n"},
        "left out, with a note",
        {"x": ["1", "3"], "y": ["2", "4"]},
        ("left out: 2 empty columns without a name",),
    ),
    Awkward(
        "Names of columns",
        "a separator behind the last name only",
        {"csv": b"x,y,\n1,2\n3,4\n"},
        "read as without it",
        {"x": ["1", "3"], "y": ["2", "4"]},
    ),
    Awkward(
        "Names of columns",
        "no name for a column that holds cells, such as an index that pandas saved",
        {"csv": b",x\n0,5\n1,6\n"},
        "left out, with a note",
        {"x": ["5", "6"]},
        ("left out: the column without a name",),
    ),
    Awkward(
        "Names of columns",
        "one name fewer than cells, as R writes the names of rows",
        {"csv": b'"x","y"\n"1",5,a\n"2",6,b\n'},
        "the first cell of each row is left out, with a note",
        {"x": ["5", "6"], "y": ["a", "b"]},
        ("left out: the column without a name",),
    ),
    Awkward(
        "Names of columns",
        "keys that the first object lacks",
        both({"x": 1}, {"y": 2.5, "x": 3}, {}),
        "every key that an object has is a column, in the order in which they first occur",
        {"x": ["1", "3", ""], "y": ["", "2.5", ""]},
    ),
    Awkward(
        "Names of columns",
        "a key that one object holds twice",
        {"jsonl": b'{"x": 1}\n{"x": 1, "x": 2}\n'},
        "refused, with the line",
        where=", line 2",
        rule="occurs twice",
    ),
    # rows
    Awkward(
        "Rows",
        "blank lines, and lines of nothing but spaces",
        {"csv": b"x,y\n\n1,2\n   \n3,4\n\n", "jsonl": b'\n{"x": 1, "y": 2}\n  \n{"x": 3, "y": 4}\n\n'},
        "skipped; errors count them",
        {"x": ["1", "3"], "y": ["2", "4"]},
    ),
    Awkward(
        "Rows",
        "lines that end in a carriage return, with or without a line feed",
        {"csv": b"x,y\r1,2\r3,4", "two.csv": b"x,y\r\n1,2\r\n3,4\r\n", "jsonl": b'{"x": 1, "y": 2}\r{"x": 3, "y": 4}'},
        "read",
        {"x": ["1", "3"], "y": ["2", "4"]},
    ),
    Awkward(
        "Rows",
        "line breaks, separators and doubled quotes within quotes",
        {"csv": b'x,y\n"a\r\nb","say ""hi"", you"\n', **both({"x": "a\r\nb", "y": 'say "hi", you'})},
        "kept as they are",
        {"x": ["a\r\nb"], "y": ['say "hi", you']},
    ),
    Awkward(
        "Rows",
        "spaces between a separator and a quote",
        {"csv": b'x, y\n1, "b, c"\n2, d\n'},
        "dropped, with a note",
        {"x": ["1", "2"], "y": ["b, c", "d"]},
        ("read as CSV without the spaces before quotes",),
    ),
    Awkward(
        "Rows",
        "a row with more cells than there are names",
        {"csv": b'x,y\n"a\nb",2\n\n1,2,3\n'},
        "refused, with the line",
        where=", line 5",
        rule="it has 3 cells, and the header in line 1 names 2 columns",
    ),
    Awkward(
        "Rows",
        "a row with fewer cells than there are names",
        {"csv": b"x,y\n1,2\n3\n"},
        "refused, with the line",
        where=", line 3",
        rule="it has 1 cell, and the header in line 1 names 2 columns",
    ),
    Awkward(
        "Rows",
        "a quote that is never closed",
        {"csv": b'x,y\n1,2\n3,"4\n5,6\n'},
        "refused, with the line in which it opens",
        where=", line 3",
        rule="not closed before the end",
    ),
    Awkward(
        "Rows",
        "a quote that is closed by the quote of a later line",
        {"csv": b'x,y\n1,"5 in\n2,"6 in\n'},
        "refused, with the line in which it opens, since a row would be lost",
        where=", line 2",
        rule="closes in a later line",
    ),
    Awkward(
        "Rows",
        "a quote in the middle of a cell",
        {"csv": b'x,y\n5" pipe,2\n'},
        "kept as it is",
        {"x": ['5" pipe'], "y": ["2"]},
    ),
    Awkward("Rows", "no bytes", {"csv": b"", "json": b"", "parquet": b""}, "refused", rule="is empty"),
    Awkward(
        "Rows",
        "no rows",
        {"csv": b"x,y\n", "cut.csv": b"x,y", "json": b"[]", "jsonl": b"\n", **binary(x=pa.array([], "int64"))},
        "refused",
        rule="at least one",
    ),
    # size
    Awkward("Size", "one column", {"csv": b"x\n1\n2\n", **both({"x": 1}, {"x": 2})}, "read", {"x": ["1", "2"]}),
    Awkward(
        "Size",
        "10,000 columns",
        {"csv": "\n".join(",".join(f"{a}{i}" for i in range(WIDE)) for a in ("c", "", "")).encode()},
        "read",
        {f"c{i}": [str(i)] * 2 for i in range(WIDE)},
    ),
    Awkward(
        "Size",
        "a cell of a million characters",
        {
            "csv": f'x,y\n"{"ab, " * 250_000}c",1\n'.encode(),
            "jsonl": f'{{"x": "{"ab, " * 250_000}c", "y": 1}}'.encode(),
        },
        "read",
        {"x": ["ab, " * 250_000 + "c"], "y": ["1"]},
    ),
    # cells
    Awkward(
        "Cells",
        "missing cells",
        {
            "csv": b"x,y\n1,\n,b\n",
            **both({"x": 1, "y": None}, {"y": "b"}),
            **binary(x=pa.array([1, None]), y=pa.array([None, "b"])),
        },
        "missing",
        {"x": ["1", ""], "y": ["", "b"]},
    ),
    Awkward(
        "Cells",
        "NaN in JSON, as Python writes it",
        both({"x": 1.5}, {"x": float("nan")}),
        "missing",
        {"x": ["1.5", ""]},
    ),
    Awkward("Cells", "truth values", both({"x": True}, {"x": False}), "truth values", {"x": ["True", "False"]}),
    Awkward(
        "Cells",
        "integers beyond 64 bits",
        {"csv": f"x\n{LONG}\n7\n".encode(), **both({"x": LONG}, {"x": 7})},
        "exact, as text",
        {"x": [str(LONG), "7"]},
    ),
    Awkward(
        "Cells",
        "an integer of 64 bits without a sign",
        both({"x": 2**64 - 1}, {"x": 7}),
        "exact",
        {"x": [str(2**64 - 1), "7"]},
    ),
    Awkward(
        "Cells",
        "integers and fractions in one column",
        {"csv": b"x\n1\n2.5\n", **both({"x": 1}, {"x": 2.5})},
        "numbers",
        {"x": ["1", "2.5"]},
    ),
    Awkward(
        "Cells",
        "fractions, and an integer that they can't hold",
        {"csv": f"x\n2.5\n{2**53 + 1}\n".encode(), **both({"x": 2.5}, {"x": 2**53 + 1})},
        "exact, as text",
        {"x": ["2.5", str(2**53 + 1)]},
    ),
    Awkward(
        "Cells",
        "text, numbers and truth values in one column",
        {"csv": b"x\na\n1\n2.5\nTrue\n", **both({"x": "a"}, {"x": 1}, {"x": 2.5}, {"x": True})},
        "text",
        {"x": ["a", "1", "2.5", "True"]},
    ),
    # JSON
    Awkward(
        "JSON",
        "JSON lines that are named .json, and a list that is named .jsonl",
        {"json": b'{"x": 1}\n{"x": 2}\n', "jsonl": b'[{"x": 1}, {"x": 2}]', "ndjson": b'[\n{"x": 1},\n{"x": 2}\n]'},
        "read",
        {"x": ["1", "2"]},
    ),
    Awkward(
        "JSON",
        "objects over several lines, one after the other",
        {"json": b'{\n "x": 1\n}\n{\n "x": 2\n}\n'},
        "read",
        {"x": ["1", "2"]},
    ),
    Awkward(
        "JSON",
        "a line that holds no object",
        {"jsonl": b'{"x": 1}\n\nnull\n', "ndjson": b'{"x": 1}\n\n[1, 2]\n'},
        "refused, with the line",
        where=", line 3",
        rule="must be an object",
    ),
    Awkward(
        "JSON",
        "a list that holds something else",
        {"json": b'[{"x": 1}, 7]'},
        "refused, with the row, counted from 0",
        where=", row 1",
        rule="must be an object",
    ),
    Awkward(
        "JSON",
        "text that is no JSON",
        {"jsonl": b'{"x": 1}\n{"x" 2}\n', "json": b'[{"x": 1},\n{"x" 2}]'},
        "refused, with the line and the column",
        where=", line 2",
        rule="column 6: expecting ':' delimiter",
    ),
    Awkward(
        "JSON",
        "one object with the rows under a key",
        {"json": b'{"data": [{"x": 1}, {"x": 2}]}', "pretty.json": b'{\n "data": [\n  {"x": 1}\n ]\n}\n'},
        "refused: save that list alone",
        rule="save that list alone",
    ),
    Awkward(
        "JSON",
        "one object with the columns under their names",
        {"json": b'{"x": {"0": 1, "1": 2}, "y": {"0": 3, "1": 4}}', "lists.json": b'{"x": [1, 2], "y": [3, 4]}'},
        "refused: save a list of objects",
        rule="orient='records'",
    ),
    Awkward("JSON", "objects without keys", {"jsonl": b"{}\n{}\n", "json": b"[{}]"}, "refused", rule="have no keys"),
]
