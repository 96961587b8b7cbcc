"""The Python entry points: the arguments of `fit`, its results, and its refusals before anything is trained."""

import inspect
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import skedastic as sk
from skedastic import pipeline
from skedastic.configurable import described
from skedastic.data import from_arrays
from skedastic.methods.auto import Auto
from skedastic.methods.blend import Blend
from skedastic.methods.ensemble import Ensemble
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.methods.stack import Stack
from skedastic.pipeline.prepare import open_data, settled
from skedastic.pipeline.usual_method import Taken, taken_method, usual_method
from skedastic.settings.config import Config
from skedastic.settings.model_choice import NamedModel, OwnModel
from tests.support.refusals import refused

QUICK: dict[str, Any] = {
    "train": sk.TrainingConfig(epochs=2, batch_size=32, device="cpu"),
    "model": {"name": "mlp", "width": 8, "depth": 1},
}
LONG = sk.TrainingConfig(epochs=20, batch_size=16, lr=0.05, device="cpu")  # enough to learn something


def arrays(n=60):
    y = np.arange(n) % 3
    return np.random.default_rng(0).normal(size=(n, 4)) + y[:, None], y


def own():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("kind", ["numpy", "torch", "pandas", "list", "images"])
def test_fit_takes_arrays_of_every_kind(kind) -> None:
    x, y = arrays()
    forms: dict[str, tuple[Any, Any]] = {
        "numpy": (x, y),
        "torch": (torch.tensor(x), torch.tensor(y)),
        "pandas": (pd.DataFrame(x, index=np.arange(60)[::-1]), pd.Series(y, index=np.arange(60)[::-1])),
        "list": (x.tolist(), y.tolist()),
        "images": ((80 * y[:, None, None] + np.arange(25).reshape(5, 5)).astype(np.uint8), y),
    }
    given = forms[kind]
    result = sk.fit(*given, method="har", test=given, model=QUICK["model"], train=LONG)
    assert result.predict(given[0]).shape == (60,)
    assert result.predict(given[0]).dtype.kind == "i"
    assert result.predict_proba(given[0]).shape == (60, 3)
    assert result.metrics.overall.n == 60
    assert result.group_stats.names == result.groups == ("0", "1", "2")
    assert float(result.strengths.max()) == pytest.approx(0.1)
    assert result.findings.learned
    assert len(result.label_issues) == 60
    assert set(result.history[0]) >= {"epoch", "loss", "accuracy", "lr", "jacobian_norm"}


def test_kinds_of_arrays_give_the_same_model() -> None:
    x, y = arrays()
    first = sk.fit(x, y, **QUICK).predict_proba(x)
    second = sk.fit(x.tolist(), torch.tensor(y), **QUICK).predict_proba(torch.tensor(x))
    assert np.array_equal(first, second)


def test_a_share_is_held_out_and_without_one_all_is_trained_on() -> None:
    x, y = arrays()
    result = sk.fit(x, y, test=0.3, **QUICK)
    assert result.metrics.overall.n == 18
    assert sum(result.train_count) == 42
    assert set(result.predictions["index"]).isdisjoint(result.label_issues["index"])
    result = sk.fit(x, y, method="erm", test=None, **QUICK)
    assert result.metrics is None
    assert sum(result.train_count) == 60
    assert result.strengths is None


def test_groups_of_ones_own() -> None:
    x, y = arrays()
    groups = np.array(["north", "south"])[(np.arange(60) > 58).astype(int)]  # the south has a single example
    result = sk.fit(x, y, groups=groups, test=(x, y, groups), method=sk.HAR(strength=0.5), **QUICK)
    assert result.groups == ("north", "south")
    assert result.train_count == [59, 1]
    assert torch.isfinite(result.strengths).all()
    assert float(result.strengths.max()) == pytest.approx(0.5)
    with refused("test", rule="(X, y, groups)"):
        sk.fit(x, y, groups=groups, test=(x, y), **QUICK)


def test_a_file_with_a_column_of_groups_and_one_of_truth(tmp_path: Path) -> None:
    x, y = arrays()
    table = pd.DataFrame(x, columns=list("abcd")).assign(label=y, region=np.arange(60) % 2, true=np.roll(y, 1))
    table.to_csv(tmp_path / "train.csv", index=False)
    settings: dict[str, Any] = {"target": "label", "groups": "region", "truth": "true", "ignore": ["region"], **QUICK}
    result = sk.fit(tmp_path / "train.csv", test=tmp_path / "train.csv", **settings)
    assert result.groups == ("0", "1")
    assert result.true_noise == [1.0, 1.0]
    assert result.metrics.overall.n == 60
    assert (result.predictions["label"].to_numpy() == np.roll(y, 1).astype(str)).all(), "tested against the truth"
    result.save(tmp_path / "run")
    again = pipeline.fit_config(sk.load(tmp_path / "run").config)
    assert again.metrics == result.metrics
    assert np.array_equal(again.predict_proba(table), result.predict_proba(table))


def test_a_seed_gives_the_same_to_the_bit_and_leaves_the_caller_alone(tmp_path: Path) -> None:
    x, y = arrays()
    torch.manual_seed(7)
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    first = sk.fit(x, y, seed=3, test=0.3, noise="uniform:0.2", **QUICK)
    first.save(tmp_path / "run")
    sk.load(tmp_path / "run").predict(x)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads
    torch.manual_seed(8)
    second = sk.fit(x, y, seed=3, test=0.3, noise="uniform:0.2", **QUICK)
    assert first.metrics == second.metrics
    tensors = second.trained.state.state_dict()
    assert all(torch.equal(v, tensors[k]) for k, v in first.trained.state.state_dict().items())
    other = sk.fit(x, y, seed=4, test=0.3, noise="uniform:0.2", **QUICK)
    assert not np.array_equal(other.predict_proba(x), first.predict_proba(x))


def test_injected_noise_is_known_and_the_test_set_stays_clean() -> None:
    x, y = arrays(300)
    result = sk.fit(x, y, test=(x, y), noise="0->1:0.5", imbalance="step:2:2", **QUICK)
    assert result.true_noise[0] == result.true_noise[2] == 0.0
    assert 0.2 < result.true_noise[1] < 0.5
    assert sum(result.train_count) == 250
    assert (result.predictions["label"].to_numpy() == y.astype(str)).all()


def test_progress_is_told() -> None:
    seen = []
    sk.fit(*arrays(), method="erm", progress=lambda *report: seen.append(report), **QUICK)
    assert seen[-1] == ("train", 2, 2)
    assert {name for name, _, _ in seen} == {"estimate 1/2", "estimate 2/2", "train"}


REFUSED = [  # arguments, the setting and the value that they are refused for, and a few words of the rule
    ({"y": None}, "y", None, "needs labels"),
    ({"y": [0, 1, 2]}, "y", 3, "one entry for each example"),
    ({"test": 1}, "test", 1, "in (0, 1)"),
    ({"test": [1, 2]}, "test", None, "is a list"),
    ({"test": (1, 2, 3, 4)}, "test", 4, "give (X, y)"),
    ({"groups": ["a"]}, "groups", 1, "one entry for each example"),
    ({"method": "haar"}, "method", "haar", "did you mean 'har'?"),
    ({"limit": "few"}, "limit", "few", "a whole number"),
    ({"seed": 0.5}, "seed", 0.5, "a whole number"),
    ({"estimate": sk.Estimation(kind="none")}, "estimate.kind", "none", "needs each group's noise"),
    ({"method": sk.HAR(taps=("bn*",))}, "taps", "bn*", "matches no module"),
    ({"model": "mpl"}, "model", "mpl", "did you mean 'mlp'?"),
    ({"model": own()}, "model", "Sequential", "give a function"),
    ({"model": lambda net=own(): net}, "model", None, "a fresh network"),  # noqa: B008
    ({"model": lambda: "net"}, "model", "str", "a fresh network"),
    ({"model": lambda: nn.Linear(5, 3), "method": "erm"}, "model", [2, 4], "cannot be multiplied"),
    ({"model": lambda: nn.Linear(4, 2), "method": "erm"}, "the network's output", [2, 2], "logits [2, 3]"),
    ({"model": lambda: nn.Linear(4, 3)}, "taps", None, "name the modules with taps="),
    ({"method": sk.HAR}, "method", sk.HAR, "sk.HAR(strength=0.1)"),
    ({"checkpoints": ""}, "checkpoints", "", "a folder"),
    ({"split": "part"}, "split", "part", "without y"),
    ({"group_by": "person"}, "group_by", "person", "without y"),
    ({"annotators": ["a", "b"]}, "annotators", ("a", "b"), "without y"),
    ({"annotators": np.array(["a", "b"])}, "annotators", ("a", "b"), "without y"),
    ({"train": np.array([1, 2])}, "train", [1, 2], "a table"),
    ({"train": sk.TrainingConfig(device="gpu")}, "train.device", "gpu", "can't be used here"),
    (
        {"train": sk.TrainingConfig(device="cpu", compile=True), "method": sk.HAR(gradient="exact")},
        "gradient",
        "exact",
        "",
    ),
]


def test_a_model_that_predicts_no_numbers_is_refused() -> None:
    """Weights of 1e30 are finite, and their predictions are not."""
    x, y = arrays()
    training = sk.TrainingConfig(epochs=1, batch_size=128, lr=1e30)  # one step
    for estimate in (sk.Estimation(kind=None), sk.Estimation()):
        for test in (None, 0.3):
            with refused("train.lr", None, rule="they are not finite"):
                sk.fit(x, y, method="erm", train=training, estimate=estimate, test=test)


def test_numbers_of_other_types_are_saved_as_plain_ones(tmp_path: Path) -> None:
    x, y = arrays()
    training = sk.TrainingConfig(epochs=1, lr=Fraction(1, 10))
    result = sk.fit(x, y, method="erm", model={"name": "mlp", "width": np.int64(4)}, train=training)
    result.save(tmp_path / "run")
    assert sk.load(tmp_path / "run").config.train.lr == 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "setting", "value", "rule"), REFUSED, ids=[f"{setting}={value}" for _, setting, value, _ in REFUSED]
)
@pytest.mark.usefixtures("no_training")
@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script_method`:DeprecationWarning"
)  # torch's own, when it first compiles
def test_a_wrong_argument_is_refused_before_anything_is_trained(settings, setting, value, rule) -> None:
    x, y = arrays()
    with refused(setting, value, rule=rule):
        sk.fit(x, **({"y": y, **QUICK} | settings))


def test_an_unknown_argument_is_pythons_own_error() -> None:
    for name in ("strength", "epochs", "limti"):
        with pytest.raises(TypeError, match=name):
            sk.fit(*arrays(), **{name: 3})


def test_the_signature_of_fit_names_every_setting_that_one_fit_has() -> None:
    parameters = inspect.signature(sk.fit).parameters
    of_comparisons = {"methods", "yardstick", "seeds", "first_seed", "focus", "notes"}
    assert {field.name for field, _ in described(Config)} - of_comparisons <= set(parameters)
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())
    documented = re.findall(r"^    ([a-z_, ]+) : ", sk.fit.__doc__, re.MULTILINE)
    assert {name for names in documented for name in names.split(", ")} == set(parameters)
    defaults = {field.name: field.default for field, _ in described(Config)}
    plain = [n for n, p in parameters.items() if isinstance(p.default, (int, tuple, float)) or n == "task"]
    defaults["test"] = defaults["test"].share
    assert {n: parameters[n].default for n in plain} == {n: defaults[n] for n in plain}


def test_a_test_set_of_two_classes_when_three_were_trained() -> None:
    x, y = arrays()
    result = sk.fit(x, y, test=(x[y < 2], y[y < 2]), **QUICK)
    assert [*result.metrics.groups.values()][2].accuracy is None


def test_very_small_data() -> None:
    x, y = np.array([[0.0], [1.0], [0.1], [0.9]]), ["a", "b", "a", "b"]
    assert len(sk.fit(x, y, test=None, **QUICK).predict(x)) == 4
    with refused("data", 1, rule="BatchNorm needs 2"):
        sk.fit(x, y, test=0.5, **QUICK)


def test_an_estimate_is_of_the_whole_source() -> None:
    estimated, data = pipeline.estimate(Config(source="digits", limit=100, train=sk.TrainingConfig(epochs=1)))
    assert data.test is None
    assert int(estimated.stats.count.sum()) == int(estimated.stats.counted.sum()) == 100


NOTHING_ELSE = "so nothing else is tried; --method"


@pytest.mark.parametrize(
    ("model", "y", "name", "said"),
    [
        ("auto", "classes", "auto", "auto: no method is named, so several ways"),
        ("mlp", "classes", "auto", "auto: no method is named, so several ways"),
        ("auto", "numbers", "stack", "stack: no method is named, so trees and linear models are tried"),
        ("mlp", "numbers", "stack", "stack: no method is named, so trees and linear models are tried"),
        ("own", "numbers", "har", f"har: the network is your own, {NOTHING_ELSE} stack tries others"),
        ("own", "classes", "har", f"har: the network is your own, {NOTHING_ELSE} auto tries others"),
    ],
)
def test_the_usual_method_follows_the_model_and_the_data_and_says_why(model, y, name, said) -> None:
    x, labels = arrays(90)
    numbers = y == "numbers"
    y = x[:, 0] + 0.1 if numbers else labels
    config = Config(model=OwnModel() if model == "own" else NamedModel(model))
    data = open_data(config, from_arrays(x, y))
    config = settled(config, data)
    taken = usual_method(config, data)
    assert taken.method.card.name == name
    assert taken.said.startswith(said)
    assert config.model.name == ("tabular" if model == "auto" else model)
    asked = replace(config, method={"share": 0.3})
    if name == "stack":
        assert usual_method(asked, data).method == Blend(base=HAR(), share=0.3)
        assert usual_method(replace(config, method={"base": "erm"}), data).method == Stack(base=ERM())
        assert usual_method(replace(config, method={"effort": "high"}), data).method == Stack(base=Ensemble(base=HAR()))
        without = usual_method(replace(config, method={"trees": False}), data)
        assert without == Taken(HAR(), f"har: method.trees is false, {NOTHING_ELSE} stack tries others")
        return
    with refused("method.share", 0.3, rule=f"no method is named, so it is {name} ") as caught:
        usual_method(asked, data)
    assert caught.value.rule.endswith("--method NAME: blend") == numbers
    if name == "har":
        with refused("method.trees", True, rule="a network is trained alone, since the network is your own"):
            usual_method(replace(config, method={"trees": True}), data)


@pytest.mark.parametrize(
    ("shape", "kind", "said"),
    [
        ((60, 129), "mlp", "a row has more than 128 numbers, so nothing else is tried; --method stack"),
        ((60, 6, 6), "cnn", "cnn is not known to train in seconds, so nothing else is tried"),
        ((60, 6, 6), "convnet", "examples are images or tokens, so nothing else is tried"),
    ],
)
def test_what_keeps_trees_from_numbers_is_said(shape, kind, said) -> None:
    x = np.random.default_rng(0).integers(0, 200, shape).astype(np.uint8 if len(shape) == 3 else np.float32)
    config = Config(model=NamedModel(kind))
    data = open_data(config, from_arrays(x, np.linspace(0.1, 3.7, 60)))
    taken = usual_method(settled(config, data), data)
    assert taken.method == HAR()
    assert taken.said.startswith(f"har: {said}")
    assert ("--method" in taken.said) == (len(shape) == 2), "where there is a way out"


@pytest.mark.parametrize(
    ("named", "settings", "said"),
    [
        (HAR(strength=0.3), {"strength": 0.3}, "har: method.strength is its setting, so nothing else is tried"),
        (HAR(select=1.0), {"select": 1.0}, "har: method.select is its setting, so nothing else is tried"),
        (HAR(), {"name": "har"}, ""),
        (Auto(), {"name": "auto"}, "stack: where targets are numbers, auto is stack(base=har)"),
    ],
)
def test_a_method_that_a_setting_or_another_name_stands_for_is_said(named, settings, said) -> None:
    x, _ = arrays(90)
    config = Config(method=settings)
    data = open_data(config, from_arrays(x, x[:, 0] + 0.1))
    assert taken_method(settled(config, data), data, named).said == said
