"""HAR's automatic strength: what is tried, what is taken, and that it is trained as if it had been asked for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import skedastic as sk
from skedastic.core.choice import Trial, gives_up_a_class, paired_gain
from skedastic.core.class_weights import Deferred
from skedastic.data import folds
from skedastic.methods.bases.held_out import held_against, trial_stages
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.pipeline import compare, train_and_evaluate
from skedastic.pipeline.plan import outline_of, plan_of_fit
from skedastic.pipeline.prepare import network, open_data
from skedastic.pipeline.steps import estimate_noise
from skedastic.runs.choice import choice_sentence
from skedastic.runs.reports import comparison_report, fit_report
from skedastic.settings.methods import make_method, method_table, the_method
from skedastic.settings.reading import build_config, read, to_toml
from skedastic.training import Checkpoints, TrainingConfig, train
from tests.support.command_line import run
from tests.support.methods import dataset, make_net, same, task, weights
from tests.support.refusals import refused

TRAINING = TrainingConfig(epochs=6, batch_size=16, lr=0.05, device="cpu")
TRIALS = ["with, half 1", "with, half 2", "without, half 1", "without, half 2"]
TOO_MUCH, HARDLY = 100.0, 1e-6
AUTO = "har-auto(candidate=1000)"


def trained(method, data=None, **settings):
    data = data or dataset(120)
    return train(method, data, make_net, TRAINING, seed=4, task=task(data), **settings)


def stages(history):
    return list(dict.fromkeys(row["stage"] for row in history))


def test_each_half_is_predicted_by_a_network_of_the_other() -> None:
    data, seen = dataset(120), {}

    class Told(HAR):
        def trials(self, task):
            seen.update(task.handed_on)
            return super().trials(task)

    trained(Told(strength="auto"), data)
    half = folds(data.group, data.y, 2, 0)
    for name, method in (("with", HAR(strength=1.0)), ("without", HAR(strength=0.0))):
        for k in (0, 1):
            own = train(method, data.subset((half == k).nonzero()[:, 0]), make_net, TRAINING, seed=4, task=task(data))
            predicted = own.predict(data.subset((half != k).nonzero()[:, 0]).x)
            assert torch.equal(seen[f"{name}, half {k + 1}"], predicted)


@pytest.mark.parametrize("settings", [{}, {"class_weights": Deferred(start=0.5)}, {"weighting": "uniform"}])
def test_it_is_plain_training_to_the_bit_where_it_gives_a_class_up(settings) -> None:
    auto = trained(HAR(strength="auto", candidate=TOO_MUCH, **settings))
    plain = trained(HAR(strength=0.0, **settings))
    assert stages(auto.history) == [*TRIALS, "plain"]
    assert same(weights(auto.state.net), weights(plain.state.net))
    (trial,) = auto.trials
    assert not trial.chosen
    assert trial.gain.mean < -trial.gain.error
    assert [n.split(":")[0] for n in auto.notes] == ["strength=auto took none"]


def test_it_is_the_tried_strength_to_the_bit_where_it_is_no_worse() -> None:
    auto, fixed = trained(HAR(strength="auto", candidate=HARDLY)), trained(HAR(strength=HARDLY))
    assert stages(auto.history) == [*TRIALS, "train"]
    assert same(weights(auto.state.net), weights(fixed.state.net))
    assert auto.trials[0].chosen
    assert auto.notes == ()
    assert auto.method == HAR(strength=HARDLY, candidate=HARDLY)


def test_what_is_taken_is_by_the_gain_and_by_the_classes() -> None:
    data = dataset(120)
    t = task(data)
    method = HAR(strength="auto")
    rng = np.random.default_rng(0)

    def as_predicted(labels, half):
        rows = (folds(t.group, t.y, 2, t.seed) == 1 - half).nonzero()[:, 0]
        return torch.nn.functional.one_hot(labels[rows], 3).float()

    def chosen(with_, without):
        ways = {"with": with_, "without": without}
        handed = {f"{way}, half {k + 1}": as_predicted(p, k) for way, p in ways.items() for k in (0, 1)}
        end = next(stage for stage in method.stages(t) if stage.name == "train")
        assert end.chosen is not None
        if end.chosen(replace(t, handed_on=handed)):
            handed["train"] = torch.nn.functional.one_hot(t.y, 3).float()
        (trial,) = method.trials(replace(t, handed_on=handed))
        gain, given_up = held_against("with", "without", replace(t, handed_on=handed))
        assert gain == paired_gain(with_ == t.y, without == t.y, t.group)
        assert given_up == gives_up_a_class(with_, without, t.y)
        return trial.chosen

    some = torch.from_numpy(np.where(rng.random(120) < 0.6, t.y, (t.y + 1) % 3))
    better, worse = some.clone(), some.clone()
    better[:30], worse[:60] = t.y[:30], (t.y[:60] + 1) % 3
    assert chosen(better, some)
    assert not chosen(worse, some)
    assert chosen(some, some)
    without_c = torch.where(t.y == 2, torch.tensor(0), t.y)
    assert not chosen(without_c, torch.where(t.y == 2, t.y, (t.y + 1) % 2)), "two classes gained, and one given up"


def test_a_class_that_only_the_network_of_all_rows_gives_up_is_not_lost() -> None:
    class Late(HAR):
        """HAR that predicts no class c, where it is trained on everything."""

        def init(self, task, make_net):
            state = super().init(task, make_net)
            state.register_buffer("all", torch.tensor(False))
            return state

        def end_epoch(self, state, task, clock, engine):
            state.all.fill_("without, half 2" in task.handed_on and self.strength != 0)

        def predict(self, state, x):
            return super().predict(state, x) - 1e3 * state.all * torch.tensor([0.0, 0.0, 1.0])

    auto = trained(Late(strength="auto", candidate=HARDLY))
    assert stages(auto.history) == [*TRIALS, "train", "plain"]
    assert same(weights(auto.state.net), weights(trained(HAR(strength=0.0)).state.net))
    assert not auto.trials[0].chosen
    assert auto.trials[0].gives_up
    assert len(auto.notes) == 1


def test_with_few_rows_nothing_is_tried_and_it_is_plain() -> None:
    auto = trained(HAR(strength="auto"), dataset(30))
    assert stages(auto.history) == ["plain"]
    assert auto.trials == ()
    (note,) = auto.notes
    assert "fewer than 40 rows" in note


def test_units_stay_in_one_half() -> None:
    data = replace(dataset(120), unit=torch.arange(120) // 4)
    t = replace(task(data), unit=data.unit)
    for stage in trial_stages("with", HAR(strength=1.0)):
        assert stage.data is not None
        assert stage.predicts is not None
        assert set(data.unit[stage.data(t)].tolist()).isdisjoint(data.unit[stage.predicts(t)].tolist())


@pytest.mark.slow
@pytest.mark.parametrize("stage", [*TRIALS, "train"])
@pytest.mark.parametrize("epoch", [1, 6])
def test_it_goes_on_from_a_checkpoint_to_the_bit(tmp_path: Path, stage, epoch) -> None:
    method = HAR(strength="auto", candidate=HARDLY)

    class Cut(BaseException):
        pass

    def cut(name, done, _):
        if (name, done) == (stage, epoch):
            raise Cut

    whole = trained(method)
    with pytest.raises(Cut):
        trained(method, progress=cut, checkpoints=Checkpoints(tmp_path, 0, ""))
    again = trained(method, checkpoints=Checkpoints(tmp_path, 0, ""))
    assert same(weights(again.state), weights(whole.state))
    assert again.history == whole.history
    assert again.trials == whole.trials


def noisy(seed=0, n=240):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.normal(size=(n, 4)) + 3 * np.eye(4)[y]
    return x, np.where(rng.random(n) < 0.2, rng.integers(0, 3, n), y)


def fitted(**settings):
    x, y = noisy()
    return sk.fit(x, y, test=None, train=TRAINING, model={"name": "mlp", "width": 16}, **settings)


@pytest.mark.parametrize("start", [TOO_MUCH, HARDLY])
def test_a_run_says_what_was_tried_and_is_read_back(tmp_path: Path, start) -> None:
    result = fitted(method=sk.HAR(strength="auto", candidate=start))
    (trial,) = result.trials
    assert trial.chosen == (start == HARDLY)
    choice = fit_report(result, Path("somewhere")).choice
    assert choice.sentence == choice_sentence(result.trials)
    assert choice.sentence.startswith(f"{'none' if start == TOO_MUCH else f'strength {start:g}'} was taken: ")
    assert choice.head == ("way", "gain ± s.e.", "note")
    notes = {row[0]: row[-1] for row in choice.rows}
    assert ("gives up a class" in notes[f"strength {start:g}"]) == trial.gives_up
    assert notes["none"] == ("base; taken" if start == TOO_MUCH else "base")
    assert "standard error (2 on" not in choice.legend, "that is the rule of auto"
    assert len(fit_report(result, Path("somewhere")).history["har"]["loss"]) == TRAINING.epochs
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    x, _ = noisy(1)
    assert np.array_equal(back.predict_proba(x), result.predict_proba(x))
    assert (back.notes, back.method, back.trials) == (result.notes, result.method, result.trials)
    assert np.allclose(result.strengths.max(), 0 if start == TOO_MUCH else start)


def test_a_comparison_says_of_how_many_seeds_it_took_none(tmp_path: Path) -> None:
    x, y = noisy()
    table = tmp_path / "noisy.csv"
    pd.DataFrame(x).assign(y=y).to_csv(table, index=False)
    settings = {"source": str(table), "target": "y", "test": "0.3", "methods": ("erm", AUTO), "seeds": 1}
    settings |= {"train": {"epochs": 6, "batch_size": 16, "lr": 0.05}}
    comparison = compare(build_config(settings))
    (outcome,) = comparison.outcomes
    assert stages(outcome.history[AUTO]) == [*TRIALS, "plain"]
    (none,) = [note for note in comparison.notes if note.startswith("strength=auto took none")]
    (trial,) = outcome.trials[AUTO]
    taken = outcome.trials | {AUTO: (trial._replace(chosen=True),)}
    two = replace(comparison, outcomes=[outcome, replace(outcome, notes=(), trials=taken)])
    assert f"{none} (1 of 2 seeds)" in two.notes
    said = dict(comparison_report(two).asked)[f"Choice of {AUTO}"]
    assert said.startswith(f"strength 1000 was {-100 * trial.gain.mean:.1f} points worse than none in the mean")
    assert said.endswith("it was taken on 1 of 2 seeds")
    two.save(tmp_path / "two")
    lines = [json.loads(line) for line in (tmp_path / "two" / "seeds.jsonl").read_text("utf-8").splitlines()]
    assert [Trial.from_dict(line["trials"][AUTO][0]) for line in lines] == [trial, *taken[AUTO]]


def test_what_was_tried_is_told_inside_other_methods_too() -> None:
    result = fitted(method=make_method("sam(base=har-auto)", {}))
    choice = fit_report(result, Path("somewhere")).choice
    assert choice.sentence.startswith(("none was taken", "strength 1 was taken"))


def test_the_command_line_tells_what_was_tried(capsys, tmp_path: Path) -> None:
    x, y = noisy()
    table, folder = tmp_path / "noisy.csv", tmp_path / "run"
    pd.DataFrame(x).assign(y=y).to_csv(table, index=False)
    settings = ["--method", "har-auto", "--set", "train.epochs=6", "--set", "train.batch_size=16"]
    status, said, _ = run(capsys, "fit", table, "--target", "y", *settings, "--out", folder)
    (trial,) = sk.load_summary(folder).trials
    shown = run(capsys, "show", folder)[1]
    assert status == 0
    for text in (said, shown):
        assert f"Choice: {choice_sentence([trial])}." in " ".join(text.split())


def test_the_plan_has_one_of_both_ends() -> None:
    config = build_config({"source": "sklearn:digits", "limit": 200, "test": "0.3"})
    data = open_data(config)
    plan = plan_of_fit(config, data, outline_of(data, HAR(strength="auto")))
    parts = {part.name: part.rows for part in plan if "estimate" not in part.name}
    assert list(parts) == [*TRIALS, "train"]
    assert parts["train"] == len(data.train) == parts[TRIALS[0]] + parts[TRIALS[1]]


@pytest.mark.parametrize("weighting", ["adaptive", "uniform", "random", "inverse"])
def test_it_goes_with_every_weighting(weighting) -> None:
    auto = trained(HAR(strength="auto", candidate=HARDLY, weighting=weighting))
    assert auto.method == HAR(strength=HARDLY, candidate=HARDLY, weighting=weighting)


@pytest.mark.parametrize("name", ["sam(base=har-auto)", "mixup(base=har-auto)", "crt(first=har-auto)"])
def test_it_goes_inside_other_methods(name) -> None:
    auto = trained(make_method(name, {}))
    assert len(auto.trials) == 1
    assert stages(auto.history)[:4] == TRIALS


def test_the_configuration_holds_it() -> None:
    config = build_config({"method": method_table(HAR(strength="auto"))})
    assert the_method(config) == HAR(strength="auto")
    assert 'strength = "auto"' in to_toml(config)
    assert the_method(read(None, {}, ["method.strength=auto"])) == HAR(strength="auto")


@pytest.mark.parametrize(
    ("make", "setting", "value"),
    [
        (lambda: HAR(strength="autos"), "har.strength", "autos"),
        (lambda: HAR(strength=""), "har.strength", ""),
        (lambda: the_method(read(None, {}, ["method.strength=autos"])), "method.strength", "autos"),
        (lambda: HAR(strength="auto", candidate=0.0), "har.candidate", 0.0),
        (lambda: HAR(strength="auto").group_strengths(replace(task(dataset()), stats=None)), "task.stats", None),
    ],
)
def test_bad_input_is_refused(make, setting, value) -> None:
    with refused(setting, value):
        make()


@pytest.mark.slow
def test_on_the_demo_it_is_well_above_plain_training_and_sacrifices_no_class() -> None:
    config = read("examples/demo.toml", {"seed": 1000})
    data = open_data(config)
    make = network(config, data)
    estimated = estimate_noise(config, data, make)
    plain, auto = (train_and_evaluate(config, data, m, make, estimated) for m in (ERM(), HAR(strength="auto")))
    gain = auto.metrics.mean_of_groups(config.focus) - plain.metrics.mean_of_groups(config.focus)
    assert gain > 0.05  # 0.11 on this seed
    assert auto.metrics.worst_group.value > plain.metrics.worst_group.value - 0.1


@pytest.mark.slow
def test_where_the_strength_gives_the_rare_class_up_it_is_plain_training() -> None:
    """One in forty is of the rare class, and one label in five is wrong: 1 predicts it hardly ever."""
    rng = np.random.default_rng(0)
    y = (rng.random(1600) < 0.025).astype(int)
    x = rng.normal(size=(1600, 6)) + 1.5 * y[:, None]
    given = np.where(rng.random(1600) < 0.1, 1 - y, y)
    result = sk.fit(x, given, test=None, method="har-auto", train={"epochs": 30}, model={"name": "mlp", "width": 64})
    assert not result.trials[0].chosen
    assert result.history[-1]["stage"] == "plain"
