"""The benchmark of the labels to check: what it counts, against a count by hand, and a small run."""

import importlib
import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.paths import ROOT


@pytest.fixture
def suspects(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("suspects")
    for name in ("common", "noise_estimate", "suspects"):
        sys.modules.pop(name, None)


def test_an_order_is_judged_overall_and_by_given_class(suspects) -> None:
    """Class 0 has 20 wrong labels, half of which come first; class 1 has 10, which come last."""
    y = np.repeat([0, 1], 50)
    wrong = np.r_[np.ones(20), np.zeros(70), np.ones(10)].astype(bool)
    order = np.r_[np.arange(10), np.arange(20, 50), np.arange(10, 20), np.arange(50, 100)]
    found = suspects.of_order(order, y, wrong)
    assert found == pytest.approx({"@20": 0.5, "@50": 0.4, "@N": 1 / 3, "worst class": 0.0, "within": 0.25})
    assert set(suspects.of_order(order, y, np.zeros(100, dtype=bool))) == {"@20", "@50"}


def test_lists_are_counted_over_runs(suspects) -> None:
    runs = [{"wrong": 30, "lists": {"to check": (40, 10)}}, {"wrong": 20, "lists": {"to check": (10, 9)}}]
    [line] = suspects.lists(runs).values()
    assert line == "50 in 2 runs, 19 wrong of 50; precision 0.57, below a half in 1 of 2, least 0.25"


def test_one_way_noise_goes_one_way(suspects) -> None:
    frame = pd.DataFrame({"label": ["a"] * 600 + ["b"] * 300 + ["c"] * 100})
    counts = {}
    for kind in suspects.KINDS[:3]:
        noisy = suspects.with_noise(frame, kind, "set", 0)
        counts[kind] = pd.crosstab(noisy["label"], noisy["noisy"]).to_numpy()
    assert counts["frequent to rare"][0, 1] == pytest.approx(180, abs=40)
    assert counts["frequent to rare"][1:].tolist() == [[0, 300, 0], [0, 0, 100]]
    assert counts["rare to frequent"][1, 0] == pytest.approx(90, abs=30)
    assert counts["both, unequal"][0, 1] == pytest.approx(60, abs=25)


def test_a_small_run_prints_all_orders_and_lists(suspects, capsys) -> None:
    suspects.main(["--quick", "--json"])
    found = json.loads(capsys.readouterr().out)
    for metric in suspects.METRICS:
        assert f"frequent to rare: {metric}, ours" in found
    for way in ("ours", "probability", "cleanlab, margin", "cleanlab, entropy"):
        assert float(found[f"ALL noisy: @N, {way}"].split(",")[0]) > 0.3
    assert "wrong of" in found["frequent to rare: by estimate"]
    assert found["none: to check"].endswith("in 1 runs")
