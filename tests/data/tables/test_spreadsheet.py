"""Cells that a spreadsheet would take for a formula."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skedastic.data.tables.spreadsheet import guarded, unguarded


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1+1", "-a", "@SUM(A1)", "\t=1", "\r=1", "-2-3", "+", "-", "＝1"]
)
def test_a_formula_gets_an_apostrophe(text) -> None:
    assert guarded(text) == f"'{text}"
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["", "a=b", "-1", "+1.5e-3", "-1,234.5", "- 5 %", "-1.012,50", "'", "'quoted'", " =1"])
def test_other_cells_stay(text) -> None:
    assert guarded(text) == text
    assert unguarded(text) == text


@given(st.text(alphabet="'=+-@\t\r1e,. x"))
def test_every_text_comes_back(text) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "@", "\t", "\r"))
