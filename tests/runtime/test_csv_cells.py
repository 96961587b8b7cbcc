"""Cells of a CSV: what a spreadsheet would take for a formula, and what commands a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skedastic.runtime.escaping import from_csv, in_csv


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1+1", "-a", "@SUM(A1)", "\t=1", "\r=1", "-2-3", "+", "-", "＝1"]
)
def test_a_formula_gets_an_apostrophe(text) -> None:
    assert in_csv(text) == f"'{text}"
    assert from_csv(in_csv(text)) == text


@pytest.mark.parametrize("text", ["", "a=b", "-1", "+1.5e-3", "-1,234.5", "- 5 %", "-1.012,50", "'", "'quoted'", " =1"])
def test_other_cells_stay(text) -> None:
    assert in_csv(text) == text
    assert from_csv(text) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\x9b\x00", r"a\x9b\x00"),
        (r"\x1b", r"\x5cx1b"),
        (r"C:\x\n", r"C:\x\n"),
        ("a\tb\n", "a\tb\n"),
    ],
)
def test_a_command_to_a_terminal_is_written_out(text, cell) -> None:
    assert in_csv(text) == cell
    assert from_csv(cell) == text


@given(st.text(alphabet="'=+-@\t\r1e,. x\x1b\x9b\\5c0"))
def test_every_text_comes_back(text) -> None:
    assert from_csv(in_csv(text)) == text
    assert not in_csv(text).startswith(("=", "@", "\t", "\r"))
    assert not set("\x1b\x9b") & set(in_csv(text))
