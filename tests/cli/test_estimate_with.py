"""The estimate by other means than the model: `--pred-probs` and `--estimate-with` on the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skedastic.runs.load import load_summary
from tests.support.command_line import TINY, everything, refusal, run
from tests.support.refusals import check_refusal

GOOD = ("good.csv", "--target", "quality", *TINY)


@pytest.fixture
def probabilities(here, numbers):
    """Files of probabilities for good.csv, right but for some doubt, and some that can't be used."""
    p = np.eye(3)[np.arange(60) % 3] * 0.7 + 0.1
    frame = pd.DataFrame(p, columns=[*"abc"])
    frame[["c", "b", "a"]].to_csv("p.csv", index=False)
    np.save("p.npy", p)
    np.save("short.npy", p[:50])
    np.save("sums.npy", p * 2)
    frame.rename(columns={"c": "cat"}).to_csv("names.csv", index=False)
    frame.drop(index=7).reindex(range(60)).to_parquet("holes.parquet")
    return here


def test_a_run_says_where_its_estimate_comes_from_and_can_be_run_again(probabilities, capsys) -> None:
    status, out, err = run(capsys, "fit", *GOOD, "--method", "har", "--pred-probs", "p.csv", "--out", "run")
    assert status == 0
    assert "estimate 1/" not in out + err
    assert "from your own class probabilities, in p.csv; nothing was trained for it" in " ".join(err.split())
    for page in ("report.html", "README.md"):
        assert "your own class probabilities, in p.csv" in Path("run", page).read_text("utf-8")
    assert "cross-fit, 2 folds" not in Path("run/report.html").read_text("utf-8")
    summary = load_summary("run")
    assert summary.config.pred_probs == "p.csv"
    assert summary.group_stats.counted.tolist() == summary.train_count
    assert run(capsys, "fit", "--config", "run/config.toml", "--out", "again")[0] == 0
    for name in ("model.safetensors", "group_stats.json", "suspects.parquet"):
        assert Path("run", name).read_bytes() == Path("again", name).read_bytes()


def test_an_interrupted_run_goes_on(probabilities, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ("fit", *GOOD, "--method", "har", "--pred-probs", "p.npy")
    assert run(capsys, *line, "--out", "whole")[0] == 0

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("skedastic.runs.result.render", interrupted)
    assert run(capsys, *line, "--out", "run")[0] == 130
    monkeypatch.undo()
    monkeypatch.chdir(probabilities)
    assert run(capsys, "fit", "--resume", "run")[0] == 0
    for name in ("model.safetensors", "group_stats.json"):
        assert Path("run", name).read_bytes() == Path("whole", name).read_bytes()


def test_an_estimate_says_what_it_is_of(probabilities, capsys) -> None:
    for option, by, title in (
        (("--pred-probs", "p.csv"), "pred_probs", "estimated from your own probabilities"),
        (("--estimate-with", "hgb"), "hgb", "estimated on held-out rows, by boosted trees"),
        (("--estimate-with", "logistic"), "logistic", "estimated on held-out rows, by logistic regression"),
        ((), "model", "estimated on held-out rows"),
    ):
        status, out, _ = run(capsys, "estimate", *GOOD, *option)
        assert status == 0
        assert title in map(str.strip, out.splitlines())
        status, out, _ = run(capsys, "estimate", *GOOD, *option, "--json")
        assert json.loads(out)["by"] == by
    assert json.loads(out)["seconds"] > 0


def test_no_time_is_claimed_for_an_estimate_that_took_none(probabilities, capsys) -> None:
    _, out, _ = run(capsys, "estimate", *GOOD, "--pred-probs", "p.csv", "--json")
    assert json.loads(out)["seconds"] == 0


def test_trees_are_named_in_the_run(probabilities, capsys) -> None:
    status, _, err = run(capsys, "fit", *GOOD, "--method", "har", "--estimate-with", "hgb", "--out", "run")
    assert status == 0
    assert "gradient-boosted trees (hgb), not by networks of the model" in " ".join(err.split())
    assert "cross-fit, 2 folds, by hgb" in Path("run/report.html").read_text("utf-8")
    assert load_summary("run").config.estimate.by == "hgb"


@pytest.mark.parametrize(
    ("options", "setting", "rule"),
    [
        ("--pred-probs nowhere.npy", "nowhere.npy", "no such file"),
        ("--pred-probs short.npy", "short.npy", "the source has 60"),
        ("--pred-probs sums.npy", "sums.npy, row 0", "must sum to 1"),
        ("--pred-probs names.csv", "names.csv", "is no class"),
        ("--pred-probs holes.parquet", "holes.parquet, row 7, column 'a'", "must be a number"),
        ("--pred-probs notes.txt", "notes.txt", "a table must end in"),
        ("--pred-probs given", "pred_probs", "given in Python"),
        ("--pred-probs p.csv --set estimate.kind=paper", "estimate.kind", "leave one of them out"),
        ("--pred-probs p.csv --estimate-with hgb", "estimate.by", "leave one of them out"),
        ("--pred-probs p.csv --groups cluster:2", "groups", "leave one of them out"),
        ("--pred-probs p.csv --noise uniform:0.2", "noise", "leave one of them out"),
        ("--estimate-with tree", "estimate.by", "must be one of"),
        ("--estimate-with hgb --groups cluster:2", "groups", "leave one of them out"),
        ("--estimate-with hgb --set estimate.epochs=0.5", "estimate.epochs", "leave it out"),
    ],
)
@pytest.mark.usefixtures("no_training")
def test_bad_input_is_one_line_and_nothing_is_written(options, setting, rule, probabilities, capsys) -> None:
    before = everything(probabilities)
    for verb in ("fit", "estimate"):
        check_refusal(refusal(capsys, verb, *GOOD, *options.split()), setting, rule=rule)
    assert everything(probabilities) == before


@pytest.mark.usefixtures("no_training")
def test_pictures_and_numbers_have_another_way_out(probabilities, capsys) -> None:
    error = refusal(capsys, "fit", "digits", *TINY, "--estimate-with", "hgb")
    check_refusal(error, "estimate.by", "hgb", rule="pred_probs")
    line = ("fit", "good.csv", "--target", "width", *TINY)
    check_refusal(refusal(capsys, *line, "--estimate-with", "logistic"), "estimate.by", "logistic", rule="regression")
    check_refusal(refusal(capsys, *line, "--pred-probs", "p.npy"), "pred_probs", "p.npy", rule="regression")
