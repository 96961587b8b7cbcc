"""Figures that are withheld, as the command line and the files of a run say so."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skedastic.runs.load import load_summary
from tests.support.command_line import refusal, run

LEARNT = ("--epochs", "20", "--set", "train.batch_size=16", "--set", "train.lr=0.1", "--set", "model.width=8")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    frame = pd.DataFrame(x, columns=["x", "z"]).assign(label=np.where(x[:, 0] > 0, "a", "b"))
    frame["part"] = np.where(np.arange(200) < 140, "train", "test")
    return frame


def test_a_class_of_the_test_rows_alone_has_no_figure(rows, capsys) -> None:
    rows.loc[150:160, "label"] = "new"
    rows.to_csv("rows.csv", index=False)
    status, out, _ = run(capsys, "fit", "rows.csv", "--target", "label", "--split", "part", *LEARNT, "--out", "run")
    assert status == 0
    [line] = [line for line in out.splitlines() if line.startswith("new")]
    assert line.count("– no rows") == 1
    assert "with the labels of new" not in out
    assert "No group has 30 test rows, so none is called the worst" in out
    stats = json.loads(Path("run/group_stats.json").read_text("utf-8"))
    assert stats["disagreement"][2] is stats["wrong"][2] is None
    assert stats["disagreement_withheld"] == [None, None, "no rows"]
    [row] = [row for row in Path("run/README.md").read_text("utf-8").splitlines() if row.startswith("| new |")]
    assert row.count("– no rows") == 3
    share = json.loads(Path("run/metrics.json").read_text("utf-8"))["balanced_accuracy"]
    said = f"Balanced accuracy, the mean over the classes of the test rows: {100 * share:.1f} %."
    assert said in Path("run/README.md").read_text("utf-8")
    page = Path("run/report.html").read_text("utf-8")
    assert "Balanced accuracy is the mean of the accuracies of the classes in the test set; means over" in page
    assert "Mean of groups" not in page
    assert "no rows" in Path("run/report.html").read_text("utf-8")
    summary = load_summary("run")
    assert summary.findings.withheld == ("", "", "no rows")
    assert len(summary.group_stats.uncertainty) == 3


def test_labels_that_nothing_tells_are_said_to_be_not_learned(rows, capsys) -> None:
    rows["label"] = np.random.default_rng(1).permutation(rows["label"])
    rows.drop(columns="part").to_csv("rows.csv", index=False)
    status, out, err = run(capsys, "fit", "rows.csv", "--target", "label", *LEARNT, "--method", "har", "--out", "run")
    assert status == 0
    assert "nothing was learned" in err
    assert out.count("– not learned") == 2
    assert "labels to check" not in out
    assert "The estimating models learned nothing" in out
    assert "the strengths of har still come from these predictions" in err
    refusal(capsys, "suspects", "run")
    assert len(pd.read_parquet("run/suspects.parquet")) == 0
    assert "to check</h2>" not in Path("run/report.html").read_text("utf-8")
    assert any(
        "nothing was learned" in note for note in json.loads(Path("run/state.json").read_text("utf-8"))["remarks"]
    )
    status, out, _ = run(capsys, "estimate", "rows.csv", "--target", "label", *LEARNT, "--json")
    figures = json.loads(out)
    assert figures["learned"] is False
    assert figures["disagreement"] == [None, None]
    assert figures["suspects"] is None
    assert "nothing was learned" in figures["notes"][0]


def test_the_groups_of_which_no_label_is_called_wrong_are_named(rows, capsys) -> None:
    rows.loc[rows["x"] > 1.4, "label"] = "rare"
    rows.to_csv("rows.csv", index=False)
    _, out, _ = run(capsys, "fit", "rows.csv", "--target", "label", "--split", "part", *LEARNT, "--out", "run")
    summary = load_summary("run")
    assert summary.findings.wrong_withheld == ("", "", "few rows")
    issues = summary.label_issues
    assert (issues["given"] == "rare").sum() == summary.train_count[2]
    assert not issues["by_estimate"][issues["given"] == "rare"].any()
    assert 0 <= summary.wrong_count <= summary.issue_count
    said = "How many labels of rare are wrong is not known, so none is called wrong."
    said += " suspects.parquet ranks these labels too."
    assert said in out
    assert said in Path("run/report.html").read_text("utf-8")
    listed = run(capsys, "suspects", "run")[1]
    assert said in listed
    assert "--top N shows the first N of the ranking." in listed
    rows.drop(columns="part").to_csv("rows.csv", index=False)
    noisy = ("--noise", "uniform:0.1", "--seed", "1")
    assert said in run(capsys, "estimate", "rows.csv", "--target", "label", *noisy, *LEARNT)[1]


def test_groups_that_were_not_learned_are_named_and_evaluate_prints_what_was_optimized(rows, capsys) -> None:
    rng = np.random.default_rng(1)
    rows["place"] = np.where(rng.random(200) < 0.5, "left", "right")
    at_random = (rows["place"] == "right").to_numpy()
    rows.loc[at_random, "label"] = rng.choice(["a", "b"], at_random.sum())
    rows.to_csv("rows.csv", index=False)
    asked = ("--groups", "place", "--split", "part", "--optimize", "macro-f1")
    status, out, _ = run(capsys, "fit", "rows.csv", "--target", "label", *asked, *LEARNT, "--out", "run")
    said = "right was not learned, so none of its labels is ranked."
    step = f"Next: collect more rows, or other features: right (not learned from {at_random[:140].sum()} rows)."
    assert status == 0
    assert said in out
    assert step in out.splitlines()
    assert said in run(capsys, "suspects", "run")[1]
    assert said in run(capsys, "show", "run")[1]
    page, card = (Path(f"run/{name}").read_text("utf-8") for name in ("report.html", "README.md"))
    assert said in page
    assert step[6:].capitalize() in page
    figure = json.loads(Path("run/metrics.json").read_text("utf-8"))["asked"]["macro_f1"]
    rows[rows["part"] == "test"].to_csv("new.csv", index=False)
    assert f"The macro F1 is {figure:.1%}" in run(capsys, "evaluate", "run", "new.csv")[1]
    told = json.loads(run(capsys, "evaluate", "run", "new.csv", "--json")[1])
    assert told["asked"]["macro_f1"] == pytest.approx(figure)
    choice = [line for line in out.splitlines() if line.startswith("Choice: ")]
    assert [line.removesuffix(".") + "." for line in choice] == choice
    assert choice[0] in card
    assert "| way | gain in F1 ± s.e. | accuracy gained | note |" in card
    assert "- Choice" not in card


@pytest.mark.parametrize("by_rule", [True, False])
def test_labels_that_a_rule_made_wrong_are_not_called_right_where_test_labels_tell(rows, capsys, by_rule) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(900, 2)), columns=["x", "z"])
    true = np.where(frame["x"] > 0, "a", "b")
    wrong = frame["z"] > 0.3 if by_rule else rng.random(900) < 0.3
    test = np.arange(900) >= 600
    frame["label"] = np.where(~test & wrong, "a", true)
    frame["part"] = np.where(test, "test", "train")
    frame.to_csv("rows.csv", index=False)
    line = ("fit", "rows.csv", "--target", "label", "--split", "part", "--method", "erm", *LEARNT, "--out", "run")
    status, out, err = run(capsys, *line, "--set", "estimate.kind=cross-fit")
    assert status == 0
    assert ("training labels are easier to predict than test labels" in err) == by_rule
    assert out.count("– unlike the test") == 2 * by_rule
    assert load_summary("run").findings.wrong_withheld[1] == ("unlike the test" if by_rule else "")
    if by_rule:
        assert load_summary("run").wrong_count == 0
        assert "by estimate" not in out
        assert "How many labels of a, b are wrong is not known" in out


@pytest.mark.parametrize(
    "method", [("--method", "linear"), ("--prior", "a=0.02,b=0.98"), ("--method", "har", "--set", "train.epochs=1")]
)
def test_a_method_that_does_badly_says_nothing_of_the_labels(rows, capsys, method) -> None:
    """A checkerboard with right labels: the estimate is by trees, and compared with trees on the test rows."""
    x = np.random.default_rng(0).uniform(size=(1200, 2))
    frame = pd.DataFrame(x, columns=["x", "z"])
    frame["label"] = np.where((np.floor(4 * x) % 2).sum(1) % 2 == 0, "a", "b")
    frame["part"] = np.where(np.arange(1200) < 800, "train", "test")
    frame.to_csv("rows.csv", index=False)
    line = ("fit", "rows.csv", "--target", "label", "--split", "part", "--out", "run")
    status, out, err = run(capsys, *line, *method, *(("--epochs", "5") if "train.epochs=1" not in method else ()))
    assert status == 0, err
    accuracy = json.loads(Path("run/metrics.json").read_text("utf-8"))["balanced_accuracy"]
    assert accuracy < 0.8, "or there is nothing to be seen"
    assert "training labels are easier" not in err
    assert "unlike the test" not in out
