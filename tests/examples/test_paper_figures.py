"""The papers' figures as numbers: what each counts, against a count by hand."""

import importlib
import json
import sys
from typing import Any

import numpy as np
import pytest

from skedastic.settings.reading import read
from tests.support.paths import ROOT

TINY = ("train.epochs=4", "train.device=cpu", "limit=900")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("paper_figures")
    for name in ("resumable", "paper_figures"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_losses_are_those_of_frequent_rare_and_wrong_examples(figures) -> None:
    """Figure 1 of HAR: four of ten classes have two fifths of their labels wrong, the other six are rare."""
    of = figures.losses(read(None, {"source": "sklearn:digits"}, TINY, "har-table8"))
    assert tuple(of) == figures.KINDS
    assert of["wrong"]["n"] / (of["wrong"]["n"] + of["frequent, right"]["n"]) == pytest.approx(0.4, abs=0.07)
    assert of["rare, right"]["n"] < of["frequent, right"]["n"]
    assert of["wrong"]["mean"] > of["frequent, right"]["mean"]
    for kind in of.values():
        assert sum(kind["shares"]) == pytest.approx(1)


def test_weights_of_classes_are_means_of_p_at_the_end_of_each_epoch(figures) -> None:
    """Figure 4 of ABSGD: 1 before λ begins; then rarer classes weigh more, and all have the mean of p."""
    rows = figures.weights(read(None, {"source": "sklearn:digits"}, (*TINY, "imbalance=longtail:10"), "absgd-figure4"))
    assert [row.pop("epoch") for row in rows] == [1, 2, 3, 4]
    classes = np.array([list(row.values()) for row in rows])
    assert (classes[:3] == 1).all()
    assert classes[3].std() > 0
    assert classes[3][5:].mean() > classes[3][:5].mean()


@pytest.mark.parametrize("code", ["", "-code"])
def test_classes_stand_in_the_order_of_their_strength(figures, capsys, monkeypatch, tmp_path, code) -> None:
    """Figure 4 of HAR, from the lines of a table: means over seeds, of the rows that the presets have."""
    rows_of_preset = read(None, {"source": "digits"}, preset="har-table7").methods
    assert {"unif-code", "har-code"} <= set(rows_of_preset)

    def line(method, seed, accuracies, strengths):
        groups = [{"name": name, "accuracy": a} for name, a in zip("abc", accuracies, strict=True)]
        return {"run": f"{method}{seed}", "method": method, "strengths": strengths, "metrics": {"groups": groups}}

    lines = [
        line(f"unif{code}", 0, (0.5, 0.6, 0.7), [1, 1, 1]),
        line(f"har{code}", 0, (0.5, 0.8, 0.9), [0.3, 0.1, 0.2]),
        line(f"har{code}", 1, (0.7, 0.8, 0.9), [0.5, 0.1, 0.2]),
        {"run": "x", "method": f"har{code}", "failed": "it diverged"},
        line("har-auto", 0, (0, 0, 0), [1, 1, 1]),
        line("erm", 0, (0, 0, 0), None),
    ]
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    monkeypatch.setattr(sys, "argv", ["paper_figures.py", "strengths", str(tmp_path / "lines.jsonl")])
    figures.main()
    rows = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [(row["class"], row["strength"]) for row in rows] == [("b", 0.1), ("c", 0.2), ("a", 0.4)]
    assert rows[2][f"error of har{code}"] == pytest.approx(0.4)
    assert rows[2][f"error of unif{code}"] == pytest.approx(0.5)
