"""Progress on the command line: lines where nobody watches, bars on a terminal, the time left of the whole job."""

import io
import re

import pytest
from rich.console import Console

from skedastic.cli import console
from skedastic.training.plan import Part, TimeLeft
from tests.support.command_line import TINY, run


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def said(monkeypatch: pytest.MonkeyPatch, *, terminal: bool):
    """Return what a job prints whose two parts of two steps take a minute each."""
    clock, stream = Clock(), io.StringIO()
    monkeypatch.setattr(console, "err", lambda: Console(file=stream, force_terminal=terminal, width=100))
    with console.progress() as progress:
        progress.left = TimeLeft((Part("estimate 1/1", 2, 10), Part("train", 2, 10)), clock)
        for part, done in (("estimate 1/1", 1), ("estimate 1/1", 2), ("train", 1), ("train", 2)):
            clock.now += 60
            progress(part, done, 2)
            if progress.bars is not None:
                progress.bars.refresh()
    return stream.getvalue()


def test_a_line_for_each_part_with_the_time_left_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said(monkeypatch, terminal=False).splitlines()
    assert lines == ["estimate 1/1: 2 done; about 2 min left in all", "train: 2 done"]


def test_bars_have_the_time_left_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = said(monkeypatch, terminal=True)
    assert all(f"about {minutes} min left in all" in drawn for minutes in (3, 2))
    assert "about 60 s left in all" in drawn


def test_no_line_for_an_epoch_where_nobody_watches(here, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("fit", "good.csv", "--target", "quality", *TINY, "--epochs", 6, "--method", "har", "--out", "run")
    status, out, err = run(capsys, *line)
    assert status == 0
    done = [text.partition(";")[0] for text in err.splitlines() if " done" in text]  # a slow machine tells what is left
    assert done == [
        "estimate 1/2: 6 done",
        "estimate 2/2: 6 done",
        "train: 6 done",
    ]
    assert not re.search(r"epoch \d", out + err)
    assert re.search(r"^Trains the estimate and the model: about \d+ s\.$", err, re.MULTILINE)
