"""`fit --resume RUN --finish`: the best way of training of those that were tried before an interruption."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

import skedastic as sk
from skedastic.cli import console
from skedastic.methods.auto import Auto
from skedastic.training.checkpoints import FAILED, Checkpoints, Snapshot
from tests.support.command_line import everything, refusal, run
from tests.support.refusals import check_refusal

FIT = ("fit", "good.csv", "--target", "quality", "--epochs", "1", "--out", "run")
AFTER = "trees, half 1"  # and what is quick
FINISH = ("fit", "--resume", "run", "--finish")


def interrupted(capsys, monkeypatch: pytest.MonkeyPatch, after: str, line=FIT) -> tuple[str, str]:
    """Interrupt a fit when a part is done; return what it said of the best so far, and its last line."""

    def stop(self, part, done, total):
        if (part, done) == (after, total):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(console.Shown, "__call__", stop)
        status, _, err = run(capsys, *line)
    assert status == 130, err
    return "\n".join(part for part in err.splitlines() if " model after " in part), err.splitlines()[-1]


def left_out(text: str) -> list[str]:
    """Return the ways that a table says were left out, since training was cut short."""
    lines = [line.partition("  ") for line in text.splitlines()]
    return [name for name, _, note in lines if note.strip().startswith("left out: training was cut")]


def test_the_first_model_is_there_before_the_estimate_and_is_taken(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, last = interrupted(capsys, monkeypatch, AFTER)
    assert said.startswith("first model after ")
    assert "; Ctrl-C, then --finish, takes it" in said.splitlines()[0]
    way = "skedastic fit --resume run"
    assert last.startswith(f"error: interrupted; go on with: {way}; or take the best so far (")
    assert last.endswith(f") with: {way} --finish")
    best = last.partition("best so far (")[2].partition(",")[0]

    status, out, err = run(capsys, *FINISH)
    assert status == 0, err
    assert "note: the noise was not estimated, since training was cut short before" in err
    assert f"Choice: {best} was taken: " in out
    assert left_out(out) == ["mixup", "plain training", "HAR at 0.3", "boosting of small trees"]
    assert not (here / "run.unfinished").exists()
    report = (here / "run/report.html").read_text("utf-8")
    assert "training was cut short before" in report
    state = json.loads((here / "run/state.json").read_text())
    assert state["summary"]["group_stats"] is None
    back = sk.load(here / "run")
    assert back.predict_proba(pd.read_csv("good.csv")).shape == (60, 3)
    assert run(capsys, "show", "run")[0] == 0
    assert run(capsys, "predict", "run", "good.csv", "--out", "predicted.csv")[0] == 0


def test_an_estimate_that_is_there_is_kept(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(capsys, monkeypatch, "mixup, half 1")
    status, out, err = run(capsys, *FINISH)
    assert status == 0, err
    assert "was not estimated" not in err
    assert "HAR at 0.3, loss=corrected" in out, "how labels go wrong is known"
    assert sk.load(here / "run").group_stats is not None


def test_with_nothing_tried_the_base_is_taken_and_the_choice_says_so(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = ("--epochs", "4", "--set", "estimate.epochs=0.5")  # else the estimate's networks are plain training's
    said, last = interrupted(capsys, monkeypatch, "linear, half 1", (*FIT[:4], *longer, "--out", "run"))
    assert said == ""
    assert last == "error: interrupted; go on with: skedastic fit --resume run"
    status, out, err = run(capsys, *FINISH)
    assert status == 0, err
    assert "Choice: half-balanced mixup was taken, and held against nothing: training was cut short before." in out
    assert left_out(out)[0] == "mixup"
    assert sk.load(here / "run").group_stats is not None, "the base needs it"


def test_an_interrupted_finish_says_both_ways_on(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(capsys, monkeypatch, AFTER)

    def stop(self, *rest):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("skedastic.runs.result.render", stop)
        _, _, err = run(capsys, *FINISH)
    way = "skedastic fit --resume run"
    assert err.splitlines()[-1] == f"error: interrupted; go on with: {way} --finish; or try more ways with: {way}"
    assert run(capsys, *FINISH)[0] == 0


def test_what_cannot_be_finished_is_one_line(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "it ends a run that was interrupted; name that with --resume DIR"
    check_refusal(refusal(capsys, *FIT, "--finish", alone=True), "--finish", rule=rule)
    check_refusal(refusal(capsys, "fit", "--finish", alone=True), "--finish", rule=rule)
    check_refusal(refusal(capsys, *FINISH, alone=True), "--resume", "run", rule="no interrupted run is there")
    rule = "leave all others out"
    check_refusal(refusal(capsys, *FINISH, "--method", "har", alone=True), "--resume", "run", rule=rule)
    har = (*FIT, "--method", "har")
    _, last = interrupted(capsys, monkeypatch, "train", har)
    assert last == "error: interrupted; go on with: skedastic fit --resume run"
    before = everything(here)
    check_refusal(refusal(capsys, *FINISH), "--finish", "har", rule="har has none with these data; go on without")
    assert everything(here) == before, "its checkpoints stay"
    assert run(capsys, *FINISH[:-1])[0] == 0
    check_refusal(refusal(capsys, *FINISH, alone=True), "--resume", "run", rule="this run is whole already")


def test_a_damaged_checkpoint_is_refused(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(capsys, monkeypatch, AFTER)
    [path] = (here / "run.unfinished/checkpoints").glob("5-*")
    path.write_bytes(path.read_bytes()[:100])
    error = refusal(capsys, *FINISH)
    assert "delete it, or start again" in str(error)
    os.remove(path)
    assert run(capsys, *FINISH)[0] == 0


def test_a_checkpoint_says_that_its_stage_failed(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    assert (kept.failure("1-train"), kept.has_ended("1-train", 3)) == ("", False)
    kept.write("1-train", Snapshot({}, {FAILED: "the loss is nan"}))
    assert (kept.failure("1-train"), kept.has_ended("1-train", 3)) == ("the loss is nan", True)
    kept.write("1-train", Snapshot({}, {"epoch": 2}))
    assert (kept.failure("1-train"), kept.has_ended("1-train", 3)) == ("", False)
    assert kept.has_ended("1-train", 2)


def test_the_line_before_says_what_may_change_the_way_that_is_taken(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, last = interrupted(capsys, monkeypatch, "mixup, half 2")
    assert "; a trial that has just ended, or a training of all rows that goes wrong, may change that) with: " in last
    named = last.partition("best so far (")[2].partition(",")[0]
    monkeypatch.setattr(Auto, "_in_the_end", lambda self, task, candidate: (candidate != self.base(task), False))
    status, out, err = run(capsys, *FINISH)
    assert status == 0, err
    assert f"Choice: {named} was taken" not in out
