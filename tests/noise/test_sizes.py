"""What large data takes: no more than is said of it. No clock is asked.

Each bound is far from what is right and from what was before, and each figure is of one process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]
ROWS = {"parquet": (400_000, 400_000, 1_600_000), "csv": (400_000, 1_200_000)}  # the last two count; CSV is read ahead
PREDICTED = f"""
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, "benchmarks")
from sizes import resident, write_table
import skedastic as sk
from skedastic.runs.predict import predict_source

with tempfile.TemporaryDirectory() as name:
    folder, more = Path(name), {{}}
    write_table(folder / "small.csv", 600)
    once = {{"estimate": sk.Estimation(kind="none"), "train": sk.TrainingConfig(epochs=1)}}
    result = sk.fit(folder / "small.csv", target="label", method="erm", **once)
    for ending, sizes in {ROWS}.items():
        peaks = []
        for rows in sizes:
            write_table(folder / f"rows.{{ending}}", rows)
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
            predict_source(result, str(folder / f"rows.{{ending}}"), folder / "out.parquet", force=True)
            peaks.append(resident("VmHWM"))
        more[ending] = (peaks[-1] - peaks[-2]) / (sizes[-1] - sizes[-2])
    print(json.dumps(more))
"""


def printed(*command: str) -> dict[str, float]:
    """Return what a Python process with one thread prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment, cwd=ROOT)
    values: dict[str, float] = json.loads(found.stdout)
    return values


def test_an_estimate_of_many_classes_takes_no_more_than_its_probabilities_twice() -> None:
    """It was nine copies. One copy of those of a fold is made, and blocks of a few MiB."""
    found = printed("benchmarks/sizes.py", "classes", "--alone", "--sizes", "2500", "--rows", "2500")
    assert found["copies"] < 4


def test_predicting_takes_no_more_memory_for_more_rows() -> None:
    """It was 60 bytes a row of Parquet, and 350 of CSV: as much as the file."""
    found = printed("-c", PREDICTED)
    assert found["parquet"] < 30
    assert found["csv"] < 150
