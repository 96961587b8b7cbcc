"""Training that is no longer finite, from the command line: exit status 3, what is kept, and the way on."""

import json

import pytest

from tests.support.command_line import everything, run

SHORT = ("--epochs", "6", "--set", "model.width=8", "--set", "train.batch_size=16", "--set", "train.optimizer=sgd")
FIT = ("fit", "good.csv", "--target", "quality", "--method", "har", *SHORT, "--out", "run")
TOO_FAST = ("--set", "train.lr=1e25")


@pytest.mark.parametrize(
    ("more", "where"), [((), "estimate 1/2: training erm"), (("--set", "estimate.by=logistic"), "training har")]
)
def test_a_fit_stops_with_status_3_and_goes_on_at_another_rate(more, where, here, capsys) -> None:
    status, out, err = run(capsys, *FIT, *TOO_FAST, *more)
    last = err.splitlines()[-1]
    assert (status, out) == (3, "")
    assert last.startswith(f"error: {where}, epoch ")
    assert last.endswith("go on from the last checkpoint with: skedastic fit --resume run --set train.lr=RATE")
    assert everything(here / "run.unfinished")[-1] == "config.toml"
    status, _, err = run(capsys, "fit", "--resume", "run", "--set", "train.lr=0.01")
    assert status == 0, err
    said = "train.lr was 1e+25, and 0.01 from a resume on"
    assert said in err
    assert said in (here / "run" / "report.html").read_text("utf-8")
    assert not (here / "run.unfinished").exists()
    assert {row["lr"] for row in map(json.loads, (here / "run" / "history.jsonl").open())} <= {0.01, 0.001, 0.0001}


def test_a_comparison_and_an_estimate_stop_with_status_3_too(here, capsys) -> None:
    before = everything(here)
    data = ("good.csv", "--target", "quality", *SHORT, *TOO_FAST)
    for line in (("compare", *data, "--methods", "erm,unif", "--without-trees", "--seeds", 1), ("estimate", *data)):
        status, out, err = run(capsys, *line)
        assert (status, out) == (3, "")
        assert err.splitlines()[-1].startswith("error: estimate 1/2: training erm, epoch ")
    assert everything(here) == before


def test_steps_that_are_left_out_are_counted_and_said(here, capsys) -> None:
    more = ("--set", "estimate.by=logistic", "--on-nan", "skip:2")
    status, _, err = run(capsys, *FIT, *more)
    assert status == 0, err
    assert json.loads((here / "run" / "metrics.json").read_text())["skipped_steps"] == 0
    status, _, err = run(capsys, *FIT, *more, *TOO_FAST, "--force")
    assert status == 3
    assert "the loss is not finite" in err or "not finite" in err.splitlines()[-1]
