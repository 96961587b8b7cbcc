"""Auto goes on without a way whose training fails, and can be cut short."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skedastic.errors import Diverged, UserError
from skedastic.methods.auto import Auto
from skedastic.methods.bases.standing import Candidate
from skedastic.methods.fitted_ways import FITTED, L2, LARGE
from skedastic.methods.har import HAR
from skedastic.methods.linear import Linear
from skedastic.methods.trees import Trees
from skedastic.runs.choice import best_sentence, choice_of, choice_sentence
from skedastic.training import Checkpoints, TrainingConfig, train
from tests.methods.test_auto import known
from tests.support.methods import dataset, make_net, same, weights
from tests.support.power_cut import PowerCut, cut_after

TRAINING = TrainingConfig(epochs=6, batch_size=16, lr=0.05, device="cpu")
QUICK = [f"{way}, half {k}" for way in (*L2, LARGE) for k in (1, 2)]


def trained(method=None, t=None, **settings):
    data = dataset(120)
    return train(method or Auto(), data, make_net, TRAINING, seed=4, task=t or known(data), **settings)


def failing(monkeypatch: pytest.MonkeyPatch, cls: Any, error: BaseException, of=lambda method: True) -> list[Any]:
    """Make the training of a class of methods fail where `of` says so, and return the methods that were begun."""
    begun, whole = list[Any](), cls.end_epoch

    def end_epoch(self, *rest):
        begun.append(self)
        if of(self):
            raise error
        return whole(self, *rest)

    monkeypatch.setattr(cls, "end_epoch", end_epoch)
    return begun


def test_a_way_whose_loss_overflows_is_named_and_left_out(tmp_path: Path) -> None:
    """HAR at a strength of 1e30, which is tried on images beside plain training."""
    t = replace(known(dataset(120)), columns=False)
    auto = trained(Auto(strength=1e30), t, checkpoints=Checkpoints(tmp_path, 0.0))
    assert auto.stages == ("plain, half 1", "har, corrected, half 1", "plain, half 2", "plain, half balanced")
    [note] = [note for note in auto.notes if note.startswith("auto left out HAR at 1e+30: ")]
    assert "not finite; look for NaN or huge values in the input, or lower the learning rate or the strength" in note
    left_out = {trial.name: trial.left_out for trial in auto.trials if trial.left_out}
    assert list(left_out) == ["HAR at 1e+30"]
    name, *_, reason = choice_of(auto.trials).rows[-1]
    assert (name, reason) == ("HAR at 1e+30", f"left out: {note.partition(': ')[2]}")

    resumed = trained(Auto(strength=1e30), t, checkpoints=Checkpoints(tmp_path, 0.0))
    assert (resumed.notes, resumed.trials, resumed.history) == (auto.notes, auto.trials, auto.history)
    assert same(weights(resumed.state.net), weights(auto.state.net))


def test_a_failure_is_remembered_and_the_rest_is_as_if_the_way_were_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = failing(monkeypatch, Trees, np.linalg.LinAlgError("bad allocation"), lambda trees: trees.leaves == 31)
    whole = trained()
    assert "auto left out boosting: bad allocation" in whole.notes
    begun.clear()
    kept = Checkpoints(tmp_path, 0.0)
    with pytest.raises(PowerCut):
        trained(checkpoints=kept, progress=cut_after("mixup, half 1", 2))
    assert [trees.leaves for trees in begun] == [31], "its second half is not tried, nor are small trees"
    resumed = trained(checkpoints=kept)
    assert [trees.leaves for trees in begun] == [31], "it is not tried again"
    assert (resumed.notes, resumed.trials, resumed.history) == (whole.notes, whole.trials, whole.history)
    assert same(weights(resumed.state.net), weights(whole.state.net))


def test_the_second_half_may_fail_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = itertools.count(1)
    failing(monkeypatch, Linear, ValueError("Input X contains NaN."), lambda method: next(turn) == 2)
    auto = trained()
    left_out = {trial.name: trial.left_out for trial in auto.trials if trial.left_out}
    assert left_out["linear model"] == "Input X contains NaN."
    assert "linear, half 2" not in auto.stages


def test_what_fails_on_all_rows_gives_way_to_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Auto, "_best", lambda self, task: Candidate("linear", 1.0))
    failing(monkeypatch, Linear, np.linalg.LinAlgError("no convergence"), lambda method: method.tau == 1.0)
    auto = trained()
    assert auto.stages[-1] == "mixup, half balanced"
    assert "auto left out balanced linear model: no convergence" in auto.notes
    [trial] = [trial for trial in auto.trials if trial.went_wrong]
    assert (trial.name, trial.chosen) == ("balanced linear model", False)


@pytest.mark.parametrize(
    "error", [UserError("must be 1", setting="train.lr"), KeyboardInterrupt(), TypeError("takes 2 arguments")]
)
def test_errors_of_settings_and_code_and_interrupts_end_the_training(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    failing(monkeypatch, Trees, error)
    with pytest.raises(type(error)):
        trained()


def test_the_base_fails_as_any_training_does() -> None:
    with pytest.raises(Diverged, match="not finite"):
        trained(Auto(strength=1e30, mixup=False))


def cut_short(folder: Path, at: tuple[str, int], **settings):
    """Return a training that was interrupted there and then finished, and the best ways it told of before."""
    found, kept = list[Any](), Checkpoints(folder, 0.0)
    with pytest.raises(PowerCut):
        trained(checkpoints=kept, progress=cut_after(*at), found=found.append, **settings)
    return trained(checkpoints=kept, finish=True, **settings), found


def test_cut_short_the_best_of_those_that_were_tried_is_trained(tmp_path: Path) -> None:
    auto, found = cut_short(tmp_path, ("mixup, half 1", 3))
    tried = [trial for trial in auto.trials if not trial.left_out]
    assert [trial.name.split("balanced ")[-1] for trial in tried] == [
        "linear model",
        "linear model, shrunk",
        "boosting",
    ]
    assert {trial.other for trial in auto.trials} == {"half-balanced linear model"}, "the first that was tried"
    assert auto.stages[:-1] == tuple(QUICK)
    best = found[-1]
    assert best.name == next((trial.name for trial in tried if trial.chosen), "half-balanced linear model")
    assert auto.stages[-1].startswith(FITTED)
    assert Auto().predictor(auto.trials), "no network predicts"
    choice = choice_of(auto.trials)
    assert choice.sentence.startswith(f"{best.name} was taken: ")
    others = ["mixup", "plain training", "HAR at 0.3", "HAR at 0.3, loss=corrected", "boosting of small trees"]
    assert [row[0] for row in choice.rows if row[-1] == "left out: training was cut short before"] == others
    assert best_sentence(best).startswith(f"{best.name}, mean accuracy over groups ")


def test_cut_short_before_anything_was_tried_the_base_is_trained(tmp_path: Path) -> None:
    auto, found = cut_short(tmp_path, ("linear, half 1", 1))
    assert (auto.stages, found) == (("linear, half 1", "mixup, half balanced"), [])
    assert all(trial.left_out for trial in auto.trials)
    assert len(auto.trials) == 8
    said = "half-balanced mixup was taken, and held against nothing: "
    assert choice_sentence(auto.trials) == f"{said}training was cut short before"
    one_failed = (auto.trials[0]._replace(left_out="no convergence"), *auto.trials[1:])
    assert choice_sentence(one_failed) == f"{said}the notes of the others say why"
    assert choice_of(auto.trials).legend == "No way was held against another."


def test_cut_short_a_last_training_that_fails_is_an_error_and_the_run_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Checkpoints(tmp_path, 0.0)
    with pytest.raises(PowerCut):
        trained(checkpoints=kept, progress=cut_after("mixup, half 1", 3))
    with monkeypatch.context() as patch:
        for cls in (Linear, Trees):
            failing(patch, cls, MemoryError("bad allocation"))
        with pytest.raises(MemoryError):
            trained(checkpoints=kept, finish=True)
    whole = trained()
    again = trained(checkpoints=kept)
    assert (again.trials, again.notes) == (whole.trials, whole.notes)


def test_cut_short_in_the_last_training_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """Ways of networks alone, so that the last training has epochs."""
    method = Auto(trees=False)
    whole = trained(method)
    last = whole.stages[-1]
    auto, found = cut_short(tmp_path, (last, 2), method=method)
    assert (auto.trials, auto.history) == (whole.trials, whole.history)
    assert same(weights(auto.state.net), weights(whole.state.net))
    assert found[-1].name == next((t.name for t in auto.trials if t.chosen), "half-balanced mixup")


def test_without_being_cut_short_again_it_goes_on_to_the_whole_choice(tmp_path: Path) -> None:
    whole = trained()
    cut_short(tmp_path, ("mixup, half 1", 3))
    again = trained(checkpoints=Checkpoints(tmp_path, 0.0))
    assert again.trials == whole.trials
    assert same(weights(again.state.net), weights(whole.state.net))


def test_a_way_that_was_dropped_is_no_less_tried_where_it_failed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """HAR fails in its first half: it is left out by its reason, and not as one that was behind."""

    def objective(self, step):
        raise FloatingPointError("underflow")

    monkeypatch.setattr(HAR, "objective", objective)
    auto = trained()
    assert ("HAR at 0.3, loss=corrected", "underflow", False) in [(t.name, t.left_out, t.half) for t in auto.trials]


def test_what_the_caller_is_told_fails_for_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled(stage: str, *_: int) -> None:
        if stage == "har, corrected, half 1":
            raise FloatingPointError("cancelled by the user")

    with pytest.raises(FloatingPointError, match="cancelled"):
        trained(progress=cancelled)


def test_cut_short_after_a_last_training_that_failed_the_base_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Checkpoints(tmp_path, 0.0)
    monkeypatch.setattr(Auto, "_best", lambda self, task: Candidate("linear", 1.0))
    with monkeypatch.context() as patch:
        failing(patch, Linear, np.linalg.LinAlgError("no convergence"), lambda method: method.tau == 1.0)
        with pytest.raises(PowerCut):
            trained(checkpoints=kept, progress=cut_after("mixup, half balanced", 2))
    auto = trained(checkpoints=kept, finish=True)
    assert auto.stages[-1] == "mixup, half balanced"
    assert "auto left out balanced linear model: no convergence" in auto.notes


def test_small_trees_are_left_out_where_large_ones_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, Trees, MemoryError("bad allocation"), lambda trees: trees.leaves == 31)
    left_out = {trial.name: trial.left_out for trial in trained().trials if trial.left_out}
    assert left_out["boosting"] == "bad allocation"
    assert left_out["boosting of small trees"] == "large trees failed"
