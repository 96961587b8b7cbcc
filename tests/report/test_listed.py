"""Which groups a page lists where there are a great many, and where all of them are."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from skedastic.report.html import render
from skedastic.report.listed import MOST_LISTED, OF_EACH, listed
from skedastic.runs.groups_table import groups_table
from tests.support.reports import FULL, group, interval

N = 5 * MOST_LISTED
ALIKE = [group(f"g{i:04}", strength=0.5, noise=interval(0.2), score={"har": interval(0.9)}) for i in range(N)]


def test_few_groups_are_all_listed() -> None:
    assert listed(ALIKE[:MOST_LISTED], percent=True) == ALIKE[:MOST_LISTED]


def test_of_many_groups_the_first_by_each_figure_are_listed_in_their_order() -> None:
    groups = list(ALIKE)
    told = {
        400: replace(groups[400], strength=0.9),
        600: replace(groups[600], noise=interval(0.8)),
        800: replace(groups[800], score={"har": interval(0.1)}),
        1000: replace(groups[1000], train=10_000),
        1200: replace(groups[1200], focus=True),
        1400: replace(groups[1400], strength=None, noise=None, score={"har": interval(math.nan)}, train=0),
    }
    for place, row in told.items():
        groups[place] = row
    found = listed(groups, percent=True)
    assert len(found) <= MOST_LISTED
    assert len(found) < 5 * OF_EACH + 6
    names = [row.name for row in found]
    assert names == sorted(names)
    assert {f"g{place:04}" for place in (400, 600, 800, 1000, 1200)} <= set(names)
    assert "g1400" not in names, "nothing is known of it"
    of_errors = [replace(row, score={"har": interval(9.0 if i == 900 else 1.0)}) for i, row in enumerate(ALIKE)]
    assert "g0900" in [row.name for row in listed(of_errors, percent=False)]


def test_the_page_says_how_many_are_left_out_and_where_all_are() -> None:
    page = render(replace(FULL, groups=ALIKE, all_groups="groups.parquet"))
    rows = len(listed(ALIKE, percent=True))
    assert f"Of {N:,} groups {rows} are listed" in page
    assert f"{N - rows:,} are left out; <code>groups.parquet</code> has all." in page
    assert page.count('<th scope="row"><bdi') - len(FULL.methods) - len(FULL.differences) <= rows + len(FULL.methods)
    assert "left out" not in render(replace(FULL, groups=ALIKE[:MOST_LISTED]))


def test_the_table_has_every_figure_of_every_group(tmp_path: Path) -> None:
    rows = [ALIKE[0], group("none", noise=None, withheld="no rows", true_noise=None, strength=None, score={})]
    pq.write_table(groups_table(rows), tmp_path / "groups.parquet")
    first, second = pq.read_table(tmp_path / "groups.parquet").to_pylist()
    assert (first["group"], first["train"], first["test"], first["strength"]) == ("g0000", 100, 60, 0.5)
    assert (first["disagreement"], first["disagreement_low"], first["score"]) == (0.2, 0.2 - 0.02, 0.9)
    assert second["disagreement_withheld"] == "no rows"
    assert [second[name] for name in ("disagreement", "strength", "score", "score_high")] == [None] * 4
