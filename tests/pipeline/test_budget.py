"""A budget shortens training to what it allows, before anything is trained; all speeds here are made up."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import skedastic as sk
from skedastic.pipeline import budget, compare, estimate, fit_config
from skedastic.pipeline.plan import Speeds
from skedastic.settings.reading import read
from skedastic.training import TrainingConfig
from skedastic.training.speed import Speed
from tests.support.command_line import everything, refusal, run
from tests.support.refusals import check_refusal, refused

STEP = 100.0  # seconds; so long that those of the test itself are none
GOOD = ("fit", "good.csv", "--target", "quality", "--set", "model.width=8", "--out", "run")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, here):
    """Let every step take long: of 48 rows an epoch has 2 steps, and of a half of them 1."""
    calls = []

    def speeds(config, data, outline, method, make_net):
        calls.append(method)
        step = Speed(STEP, 1.0, 0.0)
        return Speeds(tuple(Speed(0.0, 1.0, 0.0) if s.passes else step for s in outline.stages), step)

    monkeypatch.setattr(budget, "measured_speeds", speeds)
    return calls


def fitted(began=None, **settings):
    """Return the result of a fit of the usual 30 epochs, of which those of the estimate have 15, and what it tells."""
    said = []
    settings = {"source": "good.csv", "target": "quality", "model.width": 8, "method.name": "erm", **settings}
    result = fit_config(read(None, settings), tell=lambda data, plan, text: said.append((plan, text)), began=began)
    *_, told = said
    return result, *told


@pytest.mark.parametrize(
    ("given", "epochs", "said"),
    [
        ("1h", 8, "Budget 1h: 8 of 30 epochs, about 53 min."),  # 8 × (2 + 1 + 1) steps of 100 s; 9 take 60 minutes
        ("2.5h", 25, "Budget 2.5h: 25 of 30 epochs, about 2.2 h."),  # 15 × 2 + 25 × 2 steps; 90 % of 2.5 h are 81
        ("3h", 30, "Budget 3h: all 30 epochs, about 2.5 h."),
        ("1000h", 30, "Budget 1000h: all 30 epochs, about 2.5 h."),  # never more than suit
    ],
)
def test_as_many_epochs_as_it_allows_and_never_more(given, epochs, said, slow) -> None:
    result, plan, text = fitted(budget=given)
    assert (result.config.train.epochs, text) == (epochs, said)
    assert [part.steps for part in plan] == [min(15, epochs), min(15, epochs), epochs]
    assert [part.seconds for part in plan] == [STEP * min(15, epochs)] * 2 + [2 * STEP * epochs]
    assert result.config.budget is None
    assert sum("the budget of" in note for note in result.notes) == (epochs < 30)


def test_what_has_elapsed_counts(slow) -> None:
    result, _, said = fitted(began=time.monotonic() - 1800, budget="1.5h")
    assert result.config.train.epochs == 7  # 400 s each, of 90 % of 90 minutes but 30
    assert said == "Budget 1.5h: 7 of 30 epochs, about 77 min."


def test_the_run_is_that_of_as_many_epochs(slow, tmp_path: Path) -> None:
    by_budget, by_epochs = fitted(budget="1h")[0], fitted(**{"train.epochs": 8})[0]
    assert np.array_equal(by_budget.predictions.iloc[:, 4:], by_epochs.predictions.iloc[:, 4:])
    by_budget.save(tmp_path / "run")
    again = read(tmp_path / "run" / "config.toml", {})
    assert again.train == by_budget.config.train
    assert again.notes == by_budget.config.notes


def test_without_a_budget_the_whole_is_told(slow) -> None:
    assert fitted()[2] == "Trains the estimate and the model: about 2.5 h."
    assert fitted(**{"estimate.kind": "none", "method.name": "crt", "train.epochs": 2})[2].startswith("Trains 2 parts:")


def test_too_small_a_budget_is_refused_before_anything_is_written(slow, capsys) -> None:
    before = everything(Path())
    error = refusal(capsys, *GOOD, "--method", "erm", "--budget", "5m")
    check_refusal(error, "budget", "5m", rule="about 7 min in all; give at least 10m")
    assert everything(Path()) == before
    assert run(capsys, *GOOD, "--method", "erm", "--budget", "9m")[0] == 0


def test_trials_are_left_out_where_a_third_of_the_epochs_of_each_does_not_fit(slow) -> None:
    # an epoch: of the estimate 2 steps, of the trials 8 at most, of the last stage 2; without trials 4 in all
    with_trials, plan, _ = fitted(**{"method.name": "auto", "budget": "4h"})
    assert (with_trials.config.method["name"], with_trials.config.train.epochs) == ("auto", 10)
    said = fitted(**{"method.name": "auto", "budget": "3h"})[2]
    assert said == "Budget 3h: without trials, all 30 epochs, about 2.5 h."
    without, short, said = fitted(**{"method.name": "auto", "budget": "16m"})
    assert said == "Budget 16m: without trials, 2 of 30 epochs, about 13 min."
    assert (without.config.method["name"], without.config.train.epochs) == ("post-hoc", 2)
    assert (without.config.method["base"]["name"], without.config.method["tau"]) == ("mixup", 0.5)
    assert (len(plan) > 8, [part.name for part in short]) == (True, ["estimate 1/2", "estimate 2/2", "train"])
    assert any("for no trials" in note for note in without.notes)
    with refused("budget", "5m"):
        fitted(**{"method.name": "auto", "budget": "5m"})


def test_the_slowest_of_the_alternatives_has_to_fit(slow, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_is_slow(config, data, outline, *_):
        steps = [Speed(STEP * (20 if stage.name == "mixup" else 1), 1.0, 0.0) for stage in outline.stages]
        return Speeds(tuple(steps), steps[0])

    assert fitted(**{"method.name": "auto", "budget": "4h"})[0].config.train.epochs == 10
    monkeypatch.setattr(budget, "measured_speeds", one_is_slow)
    assert fitted(**{"method.name": "auto", "budget": "4h"})[0].config.method["name"] == "post-hoc"


def test_an_interrupted_run_goes_on_with_its_epochs(slow, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("skedastic.pipeline.steps.evaluate", interrupted)
        line = (*GOOD, "--method", "erm", "--budget", "1h", "--set", "checkpoint_every=0")
        status, _, err = run(capsys, *line)
    assert status == 130
    assert "Budget 1h: 8 of 30 epochs" in err
    status, _, err = run(capsys, "fit", "--resume", "run")
    assert status == 0
    assert "Budget" not in err
    assert "Trains" not in err
    resumed = sk.load_summary("run")
    assert resumed.config.train.epochs == 8
    assert len(slow) == 1  # what is resumed is not measured


@pytest.mark.parametrize(("method", "given"), [("erm", "1h"), ("auto", "16m")])
def test_the_same_call_goes_on_with_its_epochs(method, given, slow, tmp_path: Path) -> None:
    frame = pd.read_csv("good.csv")
    call = {"target": "quality", "method": method, "budget": given, "model": {"name": "tabular", "width": 8}}
    first = sk.fit(frame, **call, checkpoints=tmp_path / "kept")
    again = sk.fit(frame, **call, checkpoints=tmp_path / "kept")
    assert len(slow) == 1
    assert again.config == first.config
    with refused("checkpoints", rule="other settings"):
        sk.fit(frame, **{**call, "seed": 1}, checkpoints=tmp_path / "kept")


def test_nothing_is_measured_where_nobody_is_told(slow) -> None:
    train = TrainingConfig(epochs=1)
    sk.fit(pd.read_csv("good.csv"), target="quality", method="erm", train=train)
    assert slow == []


def test_a_network_of_the_users_own_has_a_budget_too(here) -> None:
    x, y = pd.read_csv("good.csv")[["width", "height"]].to_numpy(), np.arange(60) % 3
    result = sk.fit(x, y, model=lambda: torch.nn.Sequential(torch.nn.Linear(2, 3)), method="erm", budget="100h")
    assert result.config.train.epochs == 60


@pytest.mark.parametrize("verb", [compare, estimate])
def test_it_is_for_fit(verb, here) -> None:
    with refused("budget", "10m", rule="for fit"):
        verb(read(None, {"source": "good.csv", "target": "quality", "budget": "10m"}))


def test_the_command_line_refuses_epochs_beside_it(here, capsys) -> None:
    error = refusal(capsys, *GOOD, "--budget", "10m", "--epochs", 3)
    check_refusal(error, "budget", "10m", rule="leave one of them out")
