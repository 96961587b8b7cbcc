"""What each reader of tables does with awkward files: one row for each trouble, which the tests hold.

A page of the documentation is written from these rows.
"""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from tests.support.awkward import AwkwardFile


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
    AwkwardFile(
        "Encoding",
        "a byte order mark before UTF-8",
        "read as without it",
        {"csv": TEXT.encode("utf-8-sig"), "json": UTF_8.encode("utf-8-sig")},
        PLAIN,
    ),
    AwkwardFile(
        "Encoding",
        "CSV in UTF-16, as spreadsheets save “Unicode text”",
        "read, with a note",
        {"csv": TEXT.encode("utf-16"), "le.csv": TEXT.encode("utf-16-le")},
        PLAIN,
        ("read as CSV in UTF-16",),
    ),
    AwkwardFile(
        "Encoding",
        "JSON in UTF-16",
        "read",
        {"json": UTF_8.encode("utf-16"), "le.json": UTF_8.encode("utf-16-le"), "be.json": UTF_8.encode("utf-16-be")},
        PLAIN,
    ),
    AwkwardFile(
        "Encoding",
        "CSV in Windows-1252 or Latin-1, as spreadsheets save “CSV”",
        "read, with a note",
        {"csv": TEXT.encode("cp1252"), "latin.csv": TEXT.encode("latin-1")},
        PLAIN,
        ("read as CSV in Windows-1252",),
    ),
    AwkwardFile(
        "Encoding",
        "JSON in Windows-1252",
        "refused, with the line: JSON is UTF-8",
        {"jsonl": '{"x": 1}\n{"x": "Köln"}\n'.encode("cp1252")},
        where=", line 2",
        rule="not UTF-8",
    ),
    AwkwardFile(
        "Encoding",
        "UTF-8 with a few bytes that are none",
        "refused, with the line",
        {"csv": "city\nKöln\nZürich\n".encode() + b"Gen\xe8ve\n"},
        where=", line 4",
        rule="not UTF-8",
    ),
    AwkwardFile(
        "Encoding",
        "a zero byte in text",
        "refused: it is no text",
        {"csv": b"x,y\nab\0c,1\n"},
        rule="not a text file",
    ),
    AwkwardFile(
        "Encoding",
        "a compressed file that is named as a CSV file",
        "refused: unpack it",
        {"csv": gzip.compress(TEXT.encode())},
        rule="unpack it",
    ),
    AwkwardFile(
        "Encoding",
        "a workbook that is named as a CSV file",
        "refused: save the sheet as CSV",
        {"csv": b"PK\x03\x04\x14\0\6\0"},
        rule="workbook",
    ),
    # separators
    AwkwardFile(
        "Separator",
        "semicolons between cells",
        "read, with a note",
        {"csv": TEXT.replace(",", ";").encode(), "tsv": TEXT.replace(",", ";").encode()},
        PLAIN,
        ('read as CSV with ";" between cells',),
    ),
    AwkwardFile(
        "Separator",
        "tabs between cells of a .csv file",
        "read, with a note",
        {"csv": TEXT.replace(",", "\t").encode()},
        PLAIN,
        ("read as CSV with tabs between cells",),
    ),
    AwkwardFile(
        "Separator",
        "commas between the words of a name",
        "the separator is what all rows agree on, outside quotes",
        {
            "csv": b"income, before tax, in EUR;age\n1,5;31\n2;45\n",
            "quoted.csv": b'"income, before tax, in EUR";age\n1,5;31\n2;45\n',
        },
        {"income, before tax, in EUR": ["1,5", "2"], "age": ["31", "45"]},
        ('read as CSV with ";" between cells',),
    ),
    AwkwardFile(
        "Separator",
        "as many decimal commas as commas in the names",
        "the comma before a space is no separator",
        {"csv": b"length, mm;width, mm\n1,5;2,5\n1,7;2,8\n"},
        {"length, mm": ["1,5", "1,7"], "width, mm": ["2,5", "2,8"]},
        ('read as CSV with ";" between cells',),
    ),
    AwkwardFile(
        "Separator",
        "semicolons within the cells of a comma-separated file",
        "read with commas between cells",
        {"csv": b"id,where,n\n1,52.1;13.4,a\n2,48.1;11.6,b\n"},
        {"id": ["1", "2"], "where": ["52.1;13.4", "48.1;11.6"], "n": ["a", "b"]},
    ),
    AwkwardFile(
        "Separator",
        "the line `sep=;` that Excel reads and writes",
        "skipped and obeyed, with a note",
        {"csv": b"sep=;\nx;y\n1,5;2\n", "quoted.csv": b'"sep=;"\r\nx;y\r\n1,5;2\r\n'},
        {"x": ["1,5"], "y": ["2"]},
        ('read as CSV with ";" between cells, with the names of the columns in line 2',),
    ),
    # names of columns
    AwkwardFile(
        "Names of columns",
        "a line break within a name",
        "a space instead",
        {"csv": b'"width\n(mm)","a\r\nb"\n1,2\n'},
        {"width (mm)": ["1"], "a b": ["2"]},
    ),
    AwkwardFile(
        "Names of columns",
        "space around names",
        "dropped",
        {"csv": b" x , y\n1,2\n"},
        {"x": ["1"], "y": ["2"]},
    ),
    AwkwardFile(
        "Names of columns",
        "blank lines above them",
        "skipped, with a note",
        {"csv": b"\n  \nx,y\n1,2\n"},
        {"x": ["1"], "y": ["2"]},
        ("read as CSV with the names of the columns in line 3",),
    ),
    AwkwardFile(
        "Names of columns",
        "a title above them",
        "refused: the names must stand above all else",
        {"csv": b"Report of 2024\n\nx,y\n1,2\n"},
        where=", line 3",
        rule="must stand above all else",
    ),
    AwkwardFile(
        "Names of columns",
        "two columns of one name",
        "refused",
        {"csv": b"x,y, x\n1,2,3\n", "linebreak.csv": b'"x\n1",x 1\n1,2\n'},
        rule="occurs twice",
    ),
    AwkwardFile(
        "Names of columns",
        "empty columns behind the last one, as spreadsheets write",
        "left out, with a note",
        {"csv": b"x,y,,\n1,2,,\n3,4,,\n", "rows.csv": b"x,y\n1,2,,\n3,4,,\n"},
        {"x": ["1", "3"], "y": ["2", "4"]},
        ("left out: 2 empty columns without a name",),
    ),
    AwkwardFile(
        "Names of columns",
        "a separator behind the last name only",
        "read as without it",
        {"csv": b"x,y,\n1,2\n3,4\n"},
        {"x": ["1", "3"], "y": ["2", "4"]},
    ),
    AwkwardFile(
        "Names of columns",
        "no name for a column that holds cells, such as an index that pandas saved",
        "left out, with a note",
        {"csv": b",x\n0,5\n1,6\n"},
        {"x": ["5", "6"]},
        ("left out: the column without a name",),
    ),
    AwkwardFile(
        "Names of columns",
        "one name fewer than cells, as R writes the names of rows",
        "the first cell of each row is left out, with a note",
        {"csv": b'"x","y"\n"1",5,a\n"2",6,b\n'},
        {"x": ["5", "6"], "y": ["a", "b"]},
        ("left out: the column without a name",),
    ),
    AwkwardFile(
        "Names of columns",
        "keys that the first object lacks",
        "every key that an object has is a column, in the order in which they first occur",
        both({"x": 1}, {"y": 2.5, "x": 3}, {}),
        {"x": ["1", "3", ""], "y": ["", "2.5", ""]},
    ),
    AwkwardFile(
        "Names of columns",
        "a key that one object holds twice",
        "refused, with the line",
        {"jsonl": b'{"x": 1}\n{"x": 1, "x": 2}\n'},
        where=", line 2",
        rule="occurs twice",
    ),
    # rows
    AwkwardFile(
        "Rows",
        "blank lines, and lines of nothing but spaces",
        "skipped; errors count them",
        {"csv": b"x,y\n\n1,2\n   \n3,4\n\n", "jsonl": b'\n{"x": 1, "y": 2}\n  \n{"x": 3, "y": 4}\n\n'},
        {"x": ["1", "3"], "y": ["2", "4"]},
    ),
    AwkwardFile(
        "Rows",
        "lines that end in a carriage return, with or without a line feed",
        "read",
        {"csv": b"x,y\r1,2\r3,4", "two.csv": b"x,y\r\n1,2\r\n3,4\r\n", "jsonl": b'{"x": 1, "y": 2}\r{"x": 3, "y": 4}'},
        {"x": ["1", "3"], "y": ["2", "4"]},
    ),
    AwkwardFile(
        "Rows",
        "line breaks, separators and doubled quotes within quotes",
        "kept as they are",
        {"csv": b'x,y\n"a\r\nb","say ""hi"", you"\n', **both({"x": "a\r\nb", "y": 'say "hi", you'})},
        {"x": ["a\r\nb"], "y": ['say "hi", you']},
    ),
    AwkwardFile(
        "Rows",
        "spaces between a separator and a quote",
        "dropped, with a note",
        {"csv": b'x, y\n1, "b, c"\n2, d\n'},
        {"x": ["1", "2"], "y": ["b, c", "d"]},
        ("read as CSV without the spaces before quotes",),
    ),
    AwkwardFile(
        "Rows",
        "a row with more cells than there are names",
        "refused, with the line",
        {"csv": b'x,y\n"a\nb",2\n\n1,2,3\n'},
        where=", line 5",
        rule="it has 3 cells, and the header in line 1 names 2 columns",
    ),
    AwkwardFile(
        "Rows",
        "a row with fewer cells than there are names",
        "refused, with the line",
        {"csv": b"x,y\n1,2\n3\n"},
        where=", line 3",
        rule="it has 1 cell, and the header in line 1 names 2 columns",
    ),
    AwkwardFile(
        "Rows",
        "a quote within quotes after a backslash, as Spark writes it",
        "a quote, where all quotes of the file are right so and else are not; of two backslashes before a quote one "
        "stays, and others stay as they are",
        {"csv": b'x,y\n"5\\" pipe, \\"new\\"",C:\\temp\n"\\\\",\\N\n'},
        {"x": ['5" pipe, "new"', "\\"], "y": ["C:\\temp", "\\N"]},
        ('read as CSV with \\" for a quote within quotes',),
    ),
    AwkwardFile(
        "Rows",
        "a quote that is never closed",
        "refused, with the line in which it opens",
        {"csv": b'x,y\n1,2\n3,"4\n5,6\n'},
        where=", line 3",
        rule="not closed before the end",
    ),
    AwkwardFile(
        "Rows",
        "a quote that is closed by the quote of a later line",
        "refused, with the line in which it opens, since a row would be lost",
        {"csv": b'x,y\n1,"5 in\n2,"6 in\n'},
        where=", line 2",
        rule="closes in a later line",
    ),
    AwkwardFile(
        "Rows",
        "a quote in the middle of a cell",
        "kept as it is",
        {"csv": b'x,y\n5" pipe,2\n'},
        {"x": ['5" pipe'], "y": ["2"]},
    ),
    AwkwardFile("Rows", "no bytes", "refused", {"csv": b"", "json": b"", "parquet": b""}, rule="is empty"),
    AwkwardFile(
        "Rows",
        "no rows",
        "refused",
        {"csv": b"x,y\n", "cut.csv": b"x,y", "json": b"[]", "jsonl": b"\n", **binary(x=pa.array([], "int64"))},
        rule="at least one",
    ),
    # size
    AwkwardFile("Size", "one column", "read", {"csv": b"x\n1\n2\n", **both({"x": 1}, {"x": 2})}, {"x": ["1", "2"]}),
    AwkwardFile(
        "Size",
        "10,000 columns",
        "read",
        {"csv": "\n".join(",".join(f"{a}{i}" for i in range(WIDE)) for a in ("c", "", "")).encode()},
        {f"c{i}": [str(i)] * 2 for i in range(WIDE)},
    ),
    AwkwardFile(
        "Size",
        "a cell of a million characters",
        "read",
        {
            "csv": f'x,y\n"{"ab, " * 250_000}c",1\n'.encode(),
            "jsonl": f'{{"x": "{"ab, " * 250_000}c", "y": 1}}'.encode(),
        },
        {"x": ["ab, " * 250_000 + "c"], "y": ["1"]},
    ),
    # cells
    AwkwardFile(
        "Cells",
        "missing cells",
        "missing",
        {
            "csv": b"x,y\n1,\n,b\n",
            **both({"x": 1, "y": None}, {"y": "b"}),
            **binary(x=pa.array([1, None]), y=pa.array([None, "b"])),
        },
        {"x": ["1", ""], "y": ["", "b"]},
    ),
    AwkwardFile(
        "Cells",
        "NaN in JSON, as Python writes it",
        "missing",
        both({"x": 1.5}, {"x": float("nan")}),
        {"x": ["1.5", ""]},
    ),
    AwkwardFile("Cells", "truth values", "truth values", both({"x": True}, {"x": False}), {"x": ["True", "False"]}),
    AwkwardFile(
        "Cells",
        "integers beyond 64 bits",
        "exact, as text",
        {"csv": f"x\n{LONG}\n7\n".encode(), **both({"x": LONG}, {"x": 7})},
        {"x": [str(LONG), "7"]},
    ),
    AwkwardFile(
        "Cells",
        "an integer of 64 bits without a sign",
        "exact",
        both({"x": 2**64 - 1}, {"x": 7}),
        {"x": [str(2**64 - 1), "7"]},
    ),
    AwkwardFile(
        "Cells",
        "integers and fractions in one column",
        "numbers",
        {"csv": b"x\n1\n2.5\n", **both({"x": 1}, {"x": 2.5})},
        {"x": ["1", "2.5"]},
    ),
    AwkwardFile(
        "Cells",
        "fractions, and an integer that they can't hold",
        "exact, as text",
        {"csv": f"x\n2.5\n{2**53 + 1}\n".encode(), **both({"x": 2.5}, {"x": 2**53 + 1})},
        {"x": ["2.5", str(2**53 + 1)]},
    ),
    AwkwardFile(
        "Cells",
        "text, numbers and truth values in one column",
        "text",
        {"csv": b"x\na\n1\n2.5\nTrue\n", **both({"x": "a"}, {"x": 1}, {"x": 2.5}, {"x": True})},
        {"x": ["a", "1", "2.5", "True"]},
    ),
    # JSON
    AwkwardFile(
        "JSON",
        "JSON lines that are named .json, and a list that is named .jsonl",
        "read",
        {"json": b'{"x": 1}\n{"x": 2}\n', "jsonl": b'[{"x": 1}, {"x": 2}]', "ndjson": b'[\n{"x": 1},\n{"x": 2}\n]'},
        {"x": ["1", "2"]},
    ),
    AwkwardFile(
        "JSON",
        "objects over several lines, one after the other",
        "read",
        {"json": b'{\n "x": 1\n}\n{\n "x": 2\n}\n'},
        {"x": ["1", "2"]},
    ),
    AwkwardFile(
        "JSON",
        "a line that holds no object",
        "refused, with the line",
        {"jsonl": b'{"x": 1}\n\nnull\n', "ndjson": b'{"x": 1}\n\n[1, 2]\n'},
        where=", line 3",
        rule="must be an object",
    ),
    AwkwardFile(
        "JSON",
        "a list that holds something else",
        "refused, with the row, counted from 0",
        {"json": b'[{"x": 1}, 7]'},
        where=", row 1",
        rule="must be an object",
    ),
    AwkwardFile(
        "JSON",
        "text that is no JSON",
        "refused, with the line and the column",
        {"jsonl": b'{"x": 1}\n{"x" 2}\n', "json": b'[{"x": 1},\n{"x" 2}]'},
        where=", line 2",
        rule="column 6: expecting ':' delimiter",
    ),
    AwkwardFile(
        "JSON",
        "one object with the rows under a key",
        "refused: save that list alone",
        {"json": b'{"data": [{"x": 1}, {"x": 2}]}', "pretty.json": b'{\n "data": [\n  {"x": 1}\n ]\n}\n'},
        rule="save that list alone",
    ),
    AwkwardFile(
        "JSON",
        "one object with the columns under their names",
        "refused: save a list of objects",
        {"json": b'{"x": {"0": 1, "1": 2}, "y": {"0": 3, "1": 4}}', "lists.json": b'{"x": [1, 2], "y": [3, 4]}'},
        rule="orient='records'",
    ),
    AwkwardFile(
        "JSON", "objects without keys", "refused", {"jsonl": b"{}\n{}\n", "json": b"[{}]"}, rule="have no keys"
    ),
]
