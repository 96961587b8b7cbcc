"""Training that is no longer finite, from the command line: exit status 3, what is kept, and the way on."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest

from skedastic.training.stage import StageRun
from tests.support.command_line import everything, run

SHORT = ("--epochs", "6", "--set", "model.width=8", "--set", "train.batch_size=16", "--set", "train.optimizer=sgd")
FIT = ("fit", "good.csv", "--target", "quality", "--method", "har", *SHORT, "--out", "run")
TOO_FAST = ("--set", "train.lr=1e25")


@pytest.mark.parametrize(
    ("more", "where"), [((), "estimate 1/2: training erm"), (("--set", "estimate.by=logistic"), "training har")]
)
def test_a_fit_without_a_checkpoint_stops_with_status_3_and_leaves_nothing(more, where, here, capsys) -> None:
    before = everything(here)
    status, out, err = run(capsys, *FIT, *TOO_FAST, *more)
    last = err.splitlines()[-1]
    assert (status, out) == (3, "")
    assert last.startswith(f"error: {where}, epoch ")
    assert last.endswith("; nothing was kept; fit again with --set train.lr=RATE")
    assert everything(here) == before


@pytest.fixture
def way(here, capsys, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command that goes on with a run, whose first network has a checkpoint."""
    whole, epochs = StageRun.run_epoch, list[StageRun]()

    def stop(self: StageRun, *arguments) -> None:
        epochs.append(self)
        if len(epochs) == 10:  # of the second network's
            raise KeyboardInterrupt
        whole(self, *arguments)

    with monkeypatch.context() as within:
        within.setattr(StageRun, "run_epoch", stop)
        allowed = ("--trust-paths", "--allow", "cell=20000", "--allow", "nesting=50")
        status, _, err = run(capsys, *FIT[:-1], "my run", *allowed)
    assert status == 130, err
    return err.splitlines()[-1].partition("go on with: ")[2]


def test_a_fit_with_a_checkpoint_stops_with_status_3_and_goes_on_at_another_rate(way: str, here, capsys) -> None:
    assert way == "skedastic fit --resume 'my run' --trust-paths --allow nesting=50 --allow cell=20000"
    command = shlex.split(way)[1:]
    status, out, err = run(capsys, *command, *TOO_FAST)
    assert (status, out) == (3, "")
    assert err.splitlines()[-1].endswith(f"go on from the last checkpoint with: {way} --set train.lr=RATE")
    status, _, err = run(capsys, *command, "--set", "train.lr=0.01")
    assert status == 0, err
    said = "train.lr was 1e+25, and 0.01 from a resume on"
    assert said in err
    assert said in (here / "my run" / "report.html").read_text("utf-8")
    assert not (here / "my run.unfinished").exists()
    history = (here / "my run" / "history.jsonl").read_text().splitlines()
    assert {json.loads(row)["lr"] for row in history} <= {0.01, 0.001, 0.0001}


def test_a_comparison_and_an_estimate_stop_with_status_3_too(here, capsys) -> None:
    before = everything(here)
    data = ("good.csv", "--target", "quality", *SHORT, *TOO_FAST)
    for line in (("compare", *data, "--methods", "erm,unif", "--without-trees", "--seeds", 1), ("estimate", *data)):
        status, out, err = run(capsys, *line)
        assert (status, out) == (3, "")
        assert err.splitlines()[-1].startswith("error: estimate 1/2: training erm, epoch ")
    assert everything(here) == before


NETWORK = """
import torch
from torch import nn

class Net(nn.Sequential):
    def forward(self, x):
        out = super().forward(x)
        return torch.where(x.max() > 1.7, torch.nan, out) if self.training else out

def make(inputs, classes):
    return Net(nn.Linear(*inputs.shape, classes))
"""


def test_steps_that_are_left_out_are_counted_and_said(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """By a network whose loss is not finite for one row of 40."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK)
    pd.DataFrame({"x": [99.0, *np.arange(39) % 3], "y": ["a", "b"] * 20}).to_csv("t.csv", index=False)
    data = ("fit", "t.csv", "--target", "y", "--test", "none", "--epochs", "3", "--set", "train.batch_size=20")
    line = (*data, "--method", "erm", "--model", "net.py:make", "--set", "estimate.kind=none")
    status, _, err = run(capsys, *line, "--out", "stopped")
    assert status == 3, err
    assert ", rows " in err.splitlines()[-1]
    status, _, err = run(capsys, *line, "--on-nan", "skip:3", "--out", "run")
    assert status == 0, err
    said = "stage train: 3 steps of 6 left out, since the loss or the gradient was not finite (rows "
    assert said in err
    assert said in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert sum(json.loads(row)["skipped"] for row in (tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 3
