"""The evidence on a small run: what it counts, against a count by hand, and the page that it writes."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from skedastic.methods.auto import PLAIN, STRONG, Auto, Candidate
from tests.support.paths import ROOT, SHARED

NAMES = ("common", "noise_estimate", "resumable", "tables", "evidence")


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("evidence")
    for name in NAMES:
        sys.modules.pop(name, None)


def way(balanced, gives_up=False, seconds=1.0):
    return {"accuracy": 80.0, "balanced": balanced, "worst": 10.0, "seconds": seconds, "gives_up": gives_up}


def line(run, auto, plain, har, lucky):
    ways = {"auto": way(auto, seconds=6.0), "plain training": way(plain), "HAR": way(har), "lucky": way(lucky, True)}
    return {"run": run, "ways": ways, "took": {"auto": "HAR", "largest gain": "lucky"}}


def test_gains_ranks_and_what_lacks_to_the_oracle_are_paired_by_run(evidence) -> None:
    lines = [line("a/none/0", 72.0, 70.0, 72.0, 60.0), line("b/own/0", 50.0, 51.0, 50.0, 55.0)]
    found = evidence.tables(lines)["all 2 runs"]
    assert found["auto"]["over plain"].startswith("+0.5 ±")
    assert (found["auto"]["least"], found["auto"]["up, down"], found["auto"]["time"]) == ("-1.0", "1, 1", "6.0 ×")
    assert found["oracle"]["balanced"] == "63.5"
    assert found["auto"]["to the oracle"] == "-2.5"
    assert found["largest gain"]["balanced"] == "57.5"
    assert (found["lucky"]["gives up"], found["HAR"]["gives up"]) == ("2", "0")
    assert found["lucky"]["rank"].startswith("2.5")


@pytest.mark.slow
def test_a_run_has_every_way_and_writes_the_page(evidence, tmp_path: Path) -> None:
    if not (SHARED / "ecoli.parquet").exists():
        pytest.skip("needs the data sets that do not ship")
    lines, page = tmp_path / "lines.jsonl", tmp_path / "page.md"
    evidence.main(["--data", str(SHARED), "--quick", "--out", str(lines), "--page", str(page)])
    [run] = [json.loads(text) for text in lines.read_text("utf-8").splitlines()]
    assert run["run"] == "ecoli/rare noisy/0"
    assert {Candidate(w, t).shown(Auto()) for w in (PLAIN, STRONG) for t in (0.0, 0.5, 1.0)} < set(run["ways"])
    assert run["took"]["auto"] in run["ways"]
    assert all(0 <= found["balanced"] <= 100 for found in run["ways"].values())
    text = page.read_text("utf-8")
    assert "| oracle |" in text
    assert "ecoli (1)" in text
