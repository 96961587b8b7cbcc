"""What large data takes, by the benchmark: no more than is said of it. No clock is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def figures(*arguments: str) -> dict[str, float]:
    """Return what the benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / "sizes.py"), *arguments, "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, check=True, capture_output=True, env=environment)
    values: dict[str, float] = json.loads(found.stdout)
    return values


def test_an_estimate_of_many_classes_takes_no_more_than_its_probabilities_twice() -> None:
    """One copy of those of a fold is made, and blocks of a few MiB. It was nine copies."""
    found = figures("classes", "--sizes", "3000", "--rows", "3000")
    assert found["3000_copies"] < 2.5


@pytest.mark.parametrize(("ending", "most"), [("parquet", 45), ("csv", 150)])
def test_predicting_takes_hardly_more_memory_for_more_rows(ending: str, most: int) -> None:
    """It was as much as the file: 60 bytes a row of Parquet, 350 of CSV."""
    found = figures("predict", "--sizes", "800000,1600000", "--ending", ending)
    assert found["bytes_for_each_more"] < most


def test_a_report_lists_so_many_groups_at_most(tmp_path: Path) -> None:
    found = figures("groups", "--sizes", "3000")
    assert found["3000_report.html_mib"] < 0.3
    assert found["3000_groups.parquet_mib"] > 0
