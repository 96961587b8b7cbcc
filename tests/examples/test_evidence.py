"""The evidence on a small run: what it counts, against a count by hand, and the page that it writes."""

import importlib
import json
from pathlib import Path

import pytest
import torch

from skedastic.methods.auto import PLAIN, STRONG, Auto
from skedastic.methods.bases.standing import Candidate
from tests.support.paths import SHARED


def way(balanced, gives_up=False, seconds=1.0):
    return {"accuracy": 80.0, "balanced": balanced, "worst": 10.0, "seconds": seconds, "gives_up": gives_up}


def line(run, auto, plain, har, lucky):
    ways = {"auto": way(auto, seconds=6.0), "plain training": way(plain), "HAR": way(har), "lucky": way(lucky, True)}
    return {"run": run, "ways": ways, "took": {"auto": "HAR", "largest gain": "lucky"}}


def runs(*lines):
    return importlib.import_module("evidence_lines").runs_of(lines)


def test_gains_ranks_and_what_lacks_to_the_oracle_are_paired_by_run(evidence) -> None:
    lines = [line("a/none/0", 72.0, 70.0, 72.0, 60.0), line("b/own/0", 50.0, 51.0, 50.0, 55.0)]
    found = evidence.evidence_page.tables(runs(*lines))["all 2 runs"]
    assert (found["auto"]["over plain"], found["auto"]["least"]) == ("+0.5", "−1.0"), "two sets have no interval"
    assert (found["auto"]["up, down"], found["auto"]["time"]) == ("1, 1", "6.0 ×")
    assert found["oracle"]["balanced"] == "63.5"
    assert found["auto"]["to the oracle"] == "−2.5"
    assert found["largest gain"]["balanced"] == "57.5"
    assert (found["lucky"]["gives up"], found["HAR"]["gives up"]) == ("2", "0")
    assert found["lucky"]["rank"].startswith("2.5")


def test_a_bound_holds_with_its_whole_interval_in_the_mean_or_not(evidence) -> None:
    def held(*gains):
        lines = [
            line(f"{name}/none/0", 60.0 + gain, 60.0, 59.0, 61.0) for name, gain in zip("abcd", gains, strict=True)
        ]
        return [row["holds"] for row in evidence.evidence_page.bounds(runs(*lines)).values()]

    over, least, oracle, rank, cost, groups = range(6)
    assert [held(5, 5, 5, 5)[k] for k in (over, least, oracle)] == ["yes", "yes", "yes"]
    assert [held(0, 6, 6, 6)[k] for k in (over, rank)] == ["in the mean", "in the mean"]
    assert [held(-1, 3, 3, 3)[k] for k in (over, least)] == ["no", "no"]
    assert [held(-2, -2, -2, -2)[k] for k in (oracle, rank)] == ["no", "no"]
    assert [held(5, 5, 5, 5)[k] for k in (cost, groups)] == ["yes", "yes"]


def test_an_oracle_without_luck_chooses_by_the_other_half(evidence) -> None:
    y = torch.arange(400) % 2
    right, wrong = {"a": y.clone(), "b": 1 - y}, {"b": 1 - y, "a": y.clone()}
    assert torch.equal(evidence.without_luck(right, y, 0), y)
    assert torch.equal(evidence.without_luck(wrong, y, 0), y)
    guesses = torch.rand(200, 400, generator=torch.Generator().manual_seed(0)) < 0.5
    lucky = {str(k): guess.long() for k, guess in enumerate(guesses)}
    best = max(float((guess == y).double().mean()) for guess in lucky.values())
    assert best > 0.55
    assert abs(float((evidence.without_luck(lucky, y, 0) == y).double().mean()) - 0.5) < 0.05


@pytest.mark.slow
def test_a_run_has_every_way_and_writes_the_page(evidence, tmp_path: Path) -> None:
    if not (SHARED / "ecoli.parquet").exists():
        pytest.skip("needs the data sets that do not ship")
    lines, page, kept, advice = (tmp_path / name for name in ("lines.jsonl", "page.md", "kept.jsonl.gz", "advice.md"))
    files = ["--page", str(page), "--keep", str(kept), "--advice", str(advice)]
    evidence.main(["--data", str(SHARED), "--quick", "--out", str(lines), *files])
    [run] = [json.loads(text) for text in lines.read_text("utf-8").splitlines()]
    assert run["run"] == "ecoli/rare noisy/0"
    assert {Auto().shown(Candidate(w, t)) for w in (PLAIN, STRONG) for t in (0.0, 0.5, 1.0)} < set(run["ways"])
    assert run["took"]["auto"] in run["ways"]
    assert all(0 <= found["balanced"] <= 100 for found in run["ways"].values())
    text = page.read_text("utf-8")
    assert "| oracle |" in text
    assert "| oracle without luck |" in text
    assert "ecoli (1)" in text
    assert run["facts"]["kind"] == "columns"
    assert 130 <= run["facts"]["rows"] <= 170
    written = advice.read_text("utf-8")
    assert "| columns of numbers and categories | 1 (1) |" in written
    evidence.main(["--from", str(kept), "--advice", str(advice)])
    assert advice.read_text("utf-8") == written
