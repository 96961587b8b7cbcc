"""The weighted mean of a network, trees and linear models, with all that a run can do."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes

import skedastic as sk
from skedastic import cli
from skedastic.cli import console
from skedastic.core.criteria import Accuracy
from skedastic.core.criteria_of_numbers import MAE, RMSE
from skedastic.losses.absolute import Absolute
from skedastic.losses.huber import Huber
from skedastic.methods.auto import Auto
from skedastic.methods.bases.held_out import rows_of_half, trial_stages
from skedastic.methods.blend import Blend
from skedastic.methods.ensemble import Ensemble
from skedastic.methods.erm import ERM
from skedastic.methods.fitted_ways import LARGE
from skedastic.methods.har import HAR
from skedastic.methods.linear import Linear
from skedastic.methods.mixup import Mixup
from skedastic.methods.sam import SAM
from skedastic.methods.stack import ALONE, BESIDE, CONSTANT, EVEN, MEAN, NETWORK, STACK, WITHOUT, Stack
from skedastic.methods.trees import Trees
from skedastic.methods.two_stage import TwoStage
from skedastic.runs.choice import choice_of
from skedastic.runs.export import export_run
from skedastic.training.loop import make_task
from tests.support.command_line import run
from tests.support.methods import dataset
from tests.support.power_cut import PowerCut, cut_after
from tests.support.refusals import refused

QUICK = sk.TrainingConfig(epochs=4, batch_size=32)
WAYS = ("linear", "shrunk linear", "trees", "small trees", CONSTANT)  # where there are no texts


def rows(n: int = 442) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_diabetes(return_X_y=True)
    return x[:n].astype(np.float32), y[:n]


def fitted(method, n: int = 442, **more: Any):
    x, y = rows(n)
    return sk.fit(x, y, method=method, **{"train": QUICK, "test": None, "seed": 3, "task": "regression"} | more)


def shares(result) -> dict[str, float]:
    return dict(zip((NETWORK, *BESIDE), result.trained.state.weights.tolist(), strict=True))


def told(predicted: dict[str, torch.Tensor], n: int = 300, *, binned: bool = True):
    """Return a task after trials that predicted these numbers, [n] each, and its method."""
    data = dataset(n, "regression")
    task = replace(make_task(data), binned=binned, seed=4)
    handed: dict[str, torch.Tensor] = {}
    for way, values in predicted.items():
        for half, stage in enumerate(trial_stages(way, ERM())):
            handed[stage.name] = values[rows_of_half(task, 1 - half)]
    return replace(task, handed_on=handed), Stack()


def off_by(scale: float, seed: int, n: int = 300) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return dataset(n, "regression").y + scale * torch.randn(n, generator=g, dtype=torch.float64)


def test_it_is_the_weighted_mean_of_what_each_way_predicts_alone() -> None:
    stack, x = fitted(Stack()), rows()[0]
    weights = shares(stack)
    assert sum(weights.values()) == pytest.approx(1)
    assert len([w for w in weights.values() if w]) > 1
    alone = {NETWORK: ERM(), **BESIDE}
    expected = sum(w * fitted(alone[way]).predict(x) for way, w in weights.items() if w)
    np.testing.assert_allclose(stack.predict(x), expected, rtol=1e-4)
    assert stack.net(torch.from_numpy(x)).shape == (len(x), 1)


def test_the_mean_of_the_targets_is_a_way_that_counts_where_nothing_can_be_learned() -> None:
    x, y = rows()
    np.testing.assert_allclose(fitted(BESIDE[CONSTANT]).predict(x), y.mean(), rtol=1e-6)
    noise = np.random.default_rng(0).normal(size=len(y))
    kept = {"train": QUICK, "test": None, "task": "regression"}
    stack = sk.fit(x, noise, method=Stack(), **kept)
    assert shares(stack)[CONSTANT] > 0.3
    blend = sk.fit(x, noise, method=Blend(), **kept).predict(x)
    assert stack.predict(x).std() < 0.5 * blend.std(), "predictions are pulled to it"


def test_quick_ways_are_tried_first_and_all_on_the_same_halves() -> None:
    seen = list(dict.fromkeys(row["stage"] for row in fitted(Stack(base=HAR())).history))
    trials = [f"{way}, half {k}" for way in (*WAYS, NETWORK) for k in (1, 2)]
    assert seen[:-1] == trials
    assert seen[-1] in (STACK, WITHOUT, MEAN)


def test_what_it_is_held_to_is_taken_unless_the_mean_is_safely_better_in_squares_and_no_worse_in_size() -> None:
    good, bad = off_by(20, 1), off_by(20, 2)
    task, stack = told({"linear": off_by(90, 3), LARGE: bad, NETWORK: good})
    [*singles, mean] = stack.trials(task)
    assert not mean.chosen, "no weights are better than even ones"
    assert stack._taken(task) == EVEN
    names = ["network by erm", "linear model", "shrunk linear model", "boosting", "boosting of small trees", CONSTANT]
    assert [trial.name for trial in singles] == names
    assert singles[-1].left_out == "training was cut short before"
    assert all(trial.gain.mean < 0 for trial in singles if not trial.left_out)
    task, stack = told({"linear": off_by(5, 3), LARGE: bad, NETWORK: good})
    assert stack.trials(task)[-1].chosen
    assert stack._taken(task)["linear"] > 0.9
    far = torch.arange(300) % 25 == 0
    y = dataset(300, "regression").y
    heavy = {NETWORK: y + 400 * far, LARGE: y + 400 * far + 0.1, "linear": y + 60}
    task, stack = told(heavy)
    mean = stack.trials(task)[-1]
    assert mean.gain.mean > 2 * mean.gain.error, "squares are saved"
    assert not mean.chosen, "most rows are farther off"
    assert choice_of([mean]).rows[0][-1] == "its mean absolute error is larger"


def test_groups_that_were_given_count_alike() -> None:
    data = dataset(300, "regression")
    rare = (torch.arange(300) < 30).long()
    both = {NETWORK: data.y + torch.where(rare == 1, 300.0, 10.0), LARGE: data.y + torch.where(rare == 1, 300.0, 10.0)}
    other = data.y + torch.where(rare == 1, 30.0, 80.0)
    weight = {}
    for binned, criterion in ((True, "rmse"), (False, "rmse over groups")):
        task, stack = told({**both, "linear": other}, binned=binned)
        task = replace(task, group=rare)
        assert {trial.criterion for trial in stack.trials(task)} == {criterion}
        weight[criterion] = stack._judged(task).weights["linear"]
    assert weight["rmse over groups"] > weight["rmse"]
    given = fitted(Stack(), groups=np.where(np.arange(442) % 3 == 0, "a", "b"))
    assert {trial.criterion for trial in given.trials} == {"rmse over groups"}
    assert "error over groups" in choice_of(given.trials).sentence


def test_a_mean_of_one_way_stands_once_and_the_table_has_no_weights() -> None:
    task, stack = told({"linear": off_by(5, 3), LARGE: off_by(90, 2), NETWORK: off_by(80, 1)})
    trials = stack.trials(task)
    assert [trial.stage for trial in trials if trial.name == "linear model"] == [STACK]
    assert len({trial.name for trial in trials}) == len(trials)
    task, stack = told({"linear": off_by(20, 3), LARGE: off_by(20, 2), NETWORK: off_by(80, 1)})
    choice = choice_of(stack.trials(task))
    assert choice is not None
    assert choice.rows[0][0] == STACK
    assert re.search(r"weighted mean of .* \(\d+%\) and .* \(\d+%\) was taken", choice.sentence)


def test_the_best_so_far_is_the_larger_the_better() -> None:
    task, stack = told({"linear": off_by(20, 3)})
    first = stack.so_far(task)
    task, stack = told({"linear": off_by(20, 3), LARGE: off_by(5, 2)})
    then = stack.so_far(task)
    assert first is not None
    assert then is not None
    assert then.value > first.value
    assert -first.value == pytest.approx(20, rel=0.15)


def test_by_absolute_error_medians_are_tried_and_a_few_far_off_count_little() -> None:
    y, far = dataset(300, "regression").y, torch.arange(300) % 25 == 0
    both = {NETWORK: off_by(20, 1), LARGE: off_by(20, 2)}
    task, _ = told({**both, "trees, absolute": y + 150 * far + 1})
    by_size, by_squares = Stack(optimize=MAE()), Stack()
    assert by_size._taken(task)["trees, absolute"] > 0.9
    assert "trees, absolute" not in by_squares._taken(task), "squares are more, and it is no way of theirs"
    mean = next(trial for trial in by_size.trials(task) if trial.chosen)
    assert (mean.name, mean.criterion) == ("boosting by absolute error", "mae")
    assert by_size.base == ERM(loss=Absolute())
    assert Stack(optimize=MAE(), base=Ensemble(base=HAR())).base == Ensemble(base=HAR(loss=Absolute()))
    assert Stack(optimize=MAE(), base=ERM(loss=Huber())).base == ERM(loss=Huber()), "a loss of its own stays"


def test_absolute_error_is_a_criterion_from_the_command_line_to_the_saved_run(tmp_path: Path) -> None:
    result = fitted(Stack(base=HAR(), optimize=MAE()), test=0.3)
    assert {trial.criterion for trial in result.trials} == {"mae"}
    assert "in mean absolute error" in choice_of(result.trials).sentence
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    assert back.method == result.method
    np.testing.assert_array_equal(back.predict(rows()[0]), result.predict(rows()[0]))


def test_a_criterion_is_for_its_task(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = rows()
    with refused("method.optimize", "accuracy", rule="take rmse or mae"):
        Stack(optimize=Accuracy())
    with refused("method.optimize", "mae", rule="take balanced, worst, accuracy"):
        sk.fit(x, (y > y.mean()).astype(int), method=Auto(optimize=MAE()), train=QUICK)
    status, _, err = run(capsys, *FIT, "--optimize", "auc")
    assert status == 2
    assert "it is a criterion for classes, and the targets are numbers (regression); take rmse or mae" in err
    status, _, err = run(capsys, *FIT, "--optimize", "mea")
    assert status == 2
    assert "did you mean 'mae'?" in err
    assert fitted(Auto(optimize=MAE())).method == Stack(base=HAR(), optimize=MAE())
    assert fitted(Auto(optimize=RMSE(), effort="low")).method == Stack(base=ERM())


def test_too_few_rows_have_the_base_and_a_note() -> None:
    few = fitted(Stack(base=HAR()), n=39)
    assert isinstance(few.trained.method, Blend)
    assert not few.trials
    said = "fewer than 40 training rows are too few to try weights on halves of them."
    assert f"stack took mean of network by har and boosting: {said}" in few.notes
    assert fitted(Stack(), n=40).trials


def test_numbers_have_it_by_default_and_by_the_name_auto() -> None:
    default = fitted(None)
    assert default.method == Stack(base=HAR())
    assert fitted("auto").method == Stack(base=HAR())
    assert fitted(Auto()).method == Stack(base=HAR())
    assert fitted(None, model="mlp").method == Stack(base=HAR()), "which network is trained was asked for, no more"
    with refused("method.strength", 0.5, rule="of numbers auto is stack(base=har)"):
        fitted(Auto(strength=0.5))


def test_the_configuration_of_auto_says_what_was_taken_and_a_comparison_too(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_diabetes(as_frame=True).frame.to_csv("rows.csv", index=False)
    told: dict[str, Any] = {"target": "target", "task": "regression", "train": QUICK}
    fit = sk.fit("rows.csv", method="auto", **told)
    fit.save("run")
    assert fit.config.method["name"] == "stack"
    cli.main(["fit", "--config", "run/config.toml", "--out", "again"])
    assert sk.load("again").method == fit.method
    both = sk.compare(sk.Config(source="rows.csv", methods=("erm", "auto"), seeds=1, **told))
    assert both.config.methods == ("erm", "trees", "stack(base=har)")


@pytest.mark.parametrize("form", ["onnx", "torch-export", "safetensors"])
def test_a_run_is_saved_predicts_and_is_exported_in_units(tmp_path: Path, form: str) -> None:
    frame = load_diabetes(as_frame=True).frame
    frame = frame.assign(
        colour=np.where(frame["bmi"] > 0, "red", "pink"), word=["ab cd ef"[: 3 + i % 6] for i in range(442)]
    )
    frame.loc[::9, "bp"] = np.nan
    frame.to_csv(tmp_path / "rows.csv", index=False)
    result = sk.fit(str(tmp_path / "rows.csv"), target="target", method=Stack(base=HAR()), train=QUICK, test=0.3)
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    pd.testing.assert_series_equal(back.predict(frame), result.predict(frame))
    assert back.trials == result.trials
    assert "equal to the network" in export_run(back, form, tmp_path / f"net.{form}")
    if form == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        x = result.encoder.transform(frame.drop(columns="target")).numpy()
        session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
        [found] = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(found.ravel(), result.predict(frame), rtol=1e-4)


def test_where_trees_are_slow_all_are_held_against_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows()
    noise = np.random.default_rng(0).normal(size=len(y))
    with monkeypatch.context() as patch:
        patch.setattr("skedastic.methods.trees.MOST_CELLS", 1000)
        learned, not_learned = fitted(Stack()), sk.fit(x, noise, method=Stack(), train=QUICK, test=None)
    assert [trial.name for trial in learned.trials[:2]] == ["linear model", "shrunk linear model"]
    assert {trial.other for trial in learned.trials} == {"network by erm"}
    task = make_task(dataset(60, "regression"))
    of_a_run = replace(task, index=task.index[:0], y=task.y[:0])
    assert {ALONE, MEAN, STACK, WITHOUT} <= {stage.name for stage in Stack().stages(of_a_run)}, "it knows no rows"
    for number, result in enumerate((learned, not_learned)):
        result.save(tmp_path / str(number))
        np.testing.assert_array_equal(sk.load(tmp_path / str(number)).predict(x), result.predict(x))


FIT = ("fit", "rows.csv", "--target", "target", "--task", "regression", "--epochs", "4", "--out", "run")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    load_diabetes(as_frame=True).frame.to_csv("rows.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(("part", "epochs"), [("trees, half 1", 1), ("network, half 2", 2), ("weighted mean", 4)])
def test_an_interrupted_run_goes_on_to_the_same(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, part: str, epochs: int
) -> None:
    line = (*FIT[:-2], "--set", "checkpoint_every=0", "--out")
    assert run(capsys, *line, "whole")[0] == 0
    with monkeypatch.context() as patch:
        cut = cut_after(part, epochs)
        patch.setattr(console.Shown, "__call__", lambda _, stage, done, total: cut(stage, done, total))
        with pytest.raises(PowerCut):
            cli.main([*line, "run"])
    assert run(capsys, "fit", "--resume", "run")[0] == 0
    for name in ("model.safetensors", "predictions.parquet"):
        assert (here / "run" / name).read_bytes() == (here / "whole" / name).read_bytes(), name


def test_cut_short_it_is_the_mean_of_what_was_tried_and_needs_no_network(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self, part, done, total):
        if (part, done) == ("small trees, half 1", total):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(console.Shown, "__call__", stop)
        status, _, err = run(capsys, *FIT)
    assert status == 130
    assert "first model after " in err
    assert "root mean squared error" in err
    assert err.splitlines()[-1].endswith("with: skedastic fit --resume run --finish")
    status, out, err = run(capsys, "fit", "--resume", "run", "--finish")
    assert status == 0, err
    assert "note: the noise was not estimated, since training was cut short before" in err
    assert "left out: training was cut short before" in " ".join(out.split())
    back = sk.load(here / "run")
    assert back.trained.stages[-1] == WITHOUT
    assert shares(back)[NETWORK] == 0
    assert np.isfinite(back.predict(pd.read_csv("rows.csv"))).all()


@pytest.mark.parametrize(
    ("cls", "lost"), [(Trees, {"trees", "small trees"}), (Linear, {"linear", "shrunk linear", CONSTANT})]
)
def test_a_way_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch, cls: type, lost: set[str]) -> None:
    def fails(self, *rest):
        raise np.linalg.LinAlgError("no convergence")

    monkeypatch.setattr(cls, "fit", fails)
    result = fitted(Stack())
    reasons = {trial.stage for trial in result.trials if "no convergence" in trial.left_out}
    assert reasons == lost
    if hasattr(result.trained.state, "weights"):
        assert not {way for way, weight in shares(result).items() if weight} & lost
    assert any("stack left out" in note for note in result.notes)


def test_what_fails_on_all_rows_gives_way_to_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Linear.fit

    def fails(self, model, x, y, task):
        if len(x) == 442:
            raise np.linalg.LinAlgError("no convergence")
        fit(self, model, x, y, task)

    assert any(shares(fitted(Stack()))[way] for way in ("linear", "shrunk linear"))
    monkeypatch.setattr(Linear, "fit", fails)
    result = fitted(Stack())
    assert isinstance(result.trained.method, Blend)
    [mean] = [trial for trial in result.trials if trial.stage == STACK]
    assert (mean.chosen, mean.went_wrong) == (False, True)
    assert "went wrong on all rows" in choice_of(result.trials).rows[0][-1]


def test_classes_images_recipes_and_wrappings_are_refused() -> None:
    x, y = rows()
    with refused("method", "stack"):
        sk.fit(x, (y > y.mean()).astype(int), method=Stack(), train=QUICK)
    images = np.random.default_rng(0).integers(0, 255, (60, 1, 8, 8), dtype=np.uint8)
    with refused("method", "stack", rule="rows of numbers"):
        sk.fit(images, np.linspace(0, 1, 60), method=Stack(), train=QUICK)
    with refused("mixup.base", "stack", rule="turn them round"):
        Mixup(base=Stack())
    with refused("sam.base", "stack", rule="turn them round"):
        SAM(base=Stack())
    with refused("stack.base", "two-stage", rule="take blend"):
        fitted(Stack(base=TwoStage(then=ERM())))


def test_it_errs_less_than_the_mean_of_two_where_one_way_is_far_better() -> None:
    x = np.random.default_rng(0).uniform(size=(1500, 4))
    told: dict[str, Any] = {"train": QUICK, "test": (x[1000:], x[1000:].sum(1)), "task": "regression"}
    mean, stack = (sk.fit(x[:1000], x[:1000].sum(1), method=cls(), **told) for cls in (Blend, Stack))
    assert stack.metrics.value < 0.3 * mean.metrics.value, "ridge regression is nearly exact"
    assert shares(stack)[NETWORK] == 0


@pytest.mark.parametrize(("effort", "base"), [("low", ERM()), ("normal", HAR()), ("high", Ensemble(base=HAR()))])
def test_effort_says_which_network_is_in_it(effort: Any, base: Any) -> None:
    assert fitted(Auto(effort=effort), 90).method == Stack(base=base)
