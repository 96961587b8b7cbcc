"""The configuration: read, overridden, written, read again."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest

from skedastic.configurable import described, markdown_table
from skedastic.data.settings import TextSettings
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.settings.config import Config, Estimation
from skedastic.settings.data_apart import FromPython, FromSource, HoldOut, Nothing
from skedastic.settings.methods import compared_methods, make_method, method_table, the_method
from skedastic.settings.model_choice import NamedModel, OwnModel
from skedastic.settings.reading import build_config, read, to_toml
from skedastic.training import TrainingConfig
from tests.support.paths import ROOT
from tests.support.refusals import refused


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_written_configuration_is_read_back_the_same(tmp_path: Path) -> None:
    config = Config(
        source='a "quoted" name\\with.csv',
        target="größe",
        ignore=("a,b", "c"),
        test=HoldOut(0.3333333333333333),
        reference=FromSource("trusted.csv"),
        noise="1<->8:0.4,3<->9:0.4",
        limit=100,
        seed=3,
        method=method_table(HAR(strength=0.5, gradient="exact", taps=("layer*.bn?", "bn1")), "har"),
        model=NamedModel("mlp", {"width": 32}),
        train=TrainingConfig(epochs=2, lr=1e-3, milestones=(0.5,), optimizer="adam"),
        estimate=Estimation(kind="paper", epochs=0.5),
        methods=("erm", "har"),
        focus=("1", "8"),
        notes=("two\nlines",),
    )
    again = read(written(tmp_path, to_toml(config)), {})
    assert dataclasses.replace(again, method=config.method) == config
    assert the_method(again) == the_method(config) == HAR(strength=0.5, gradient="exact", taps=("layer*.bn?", "bn1"))
    assert read(written(tmp_path, to_toml(again)), {}) == again
    default = read(written(tmp_path, to_toml(Config())), {})
    assert default == Config()


@pytest.mark.parametrize(
    "settings",
    [
        {"test": Nothing()},
        {"test": FromPython(), "reference": FromPython()},
        {"test": FromSource("0.2.csv")},
        {"reference": HoldOut(0.1)},
        {"model": OwnModel()},
        {"model": NamedModel("auto", {"width": 3, "norm": "batch"})},
        {"estimate": Estimation(kind=None)},
    ],
    ids=str,
)
def test_every_kind_of_test_set_model_and_estimate_is_read_back(tmp_path: Path, settings) -> None:
    config = Config(**settings)
    assert config != Config()
    assert read(written(tmp_path, to_toml(config)), {}) == config


def test_toml_stays_readable() -> None:
    lines = to_toml(
        Config(test=HoldOut(0.3), reference=FromSource("a.csv"), estimate=Estimation(kind=None))
    ).splitlines()
    assert {"test = 0.3", 'reference = "a.csv"', 'kind = "none"', 'name = "auto"'} <= set(lines)
    assert not any(line.startswith("source") for line in lines)


@pytest.mark.parametrize("cls", [Config, Estimation, TrainingConfig, TextSettings])
def test_every_setting_has_a_meaning_and_stands_in_docstring_help_and_reference(cls) -> None:
    said = dict(described(cls))
    assert {f.name for f in said} == {f.name for f in dataclasses.fields(cls)}
    table = markdown_table(cls)
    for field, setting in said.items():
        assert len(setting.meaning) > 10
        assert not setting.meaning.endswith(".")
        assert not setting.meaning[0].isupper()
        assert re.search(rf"^{field.name} : .+\n    \S", cls.__doc__, re.MULTILINE)
        assert f"| `{cls.place(field.name)}` |" in table
        assert setting.meaning.replace("|", "\\|") in table
    assert all(line.count("|") - line.count("\\|") == 6 for line in table.splitlines())


@pytest.mark.parametrize(
    ("item", "setting", "value"),
    [
        ("train.batch_size=1", "train.batch_size", 1),
        ("tokens.vocabulary=10", "tokens.vocabulary", 10),
        ("estimate.folds=1", "estimate.folds", 1),
        ("bins=0", "bins", 0),
        ("method.loss=gce(q=2)", "method.loss.q", 2),
    ],
)
def test_errors_carry_the_setting_and_its_value(item, setting, value) -> None:
    with refused(setting, value):
        the_method(read(None, {}, [item]))


def test_options_go_over_the_file_and_set_over_both(tmp_path: Path) -> None:
    path = written(tmp_path, 'source = "a"\nseed = 1\n[train]\nepochs = 10\nlr = 0.5\n')
    config = read(path, {"train.epochs": 20, "seed": None, "source": "b"}, ["train.epochs=30", "method.strength=2"])
    assert (config.source, config.seed, config.train.epochs, config.train.lr) == ("b", 1, 30, 0.5)
    assert the_method(config) == HAR(strength=2.0)


@pytest.mark.parametrize(
    ("item", "path", "value"),
    [
        ("train.lr=1", "train.lr", 1.0),
        ("train.epochs = 3", "train.epochs", 3),
        ("test=0.5", "test", HoldOut(0.5)),
        ("test=none", "test", Nothing()),
        ("test=given", "test", FromPython()),
        ("reference=0.05", "reference", HoldOut(0.05)),
        ("model=mlp", "model", NamedModel("mlp")),
        ("model.width=3", "model", NamedModel("auto", {"width": 3})),
        ("model=own", "model", OwnModel()),
        ("estimate.kind=none", "estimate.kind", None),
        ("source=none.csv", "source", "none.csv"),
        ("test=other.csv", "test", FromSource("other.csv")),
        ("target=3", "target", "3"),
        ("limit=none", "limit", None),
        ("focus=8", "focus", ("8",)),
        ("focus=1, 8", "focus", ("1", "8")),
        ("focus=['a,b']", "focus", ("a,b",)),
        ("train.milestones=0.5,0.75", "train.milestones", (0.5, 0.75)),
        ("train.milestones=[0.5]", "train.milestones", (0.5,)),
        ("train.milestones=1", "train.milestones", (1.0,)),
        ("noise=1<->8:0.4,3->9:0.1", "noise", "1<->8:0.4,3->9:0.1"),
        ("notes=a = b", "notes", ("a = b",)),
    ],
)
def test_set_understands(item, path, value) -> None:
    config = read(None, {}, [item])
    for name in path.split("."):
        config = getattr(config, name)
    assert config == value
    assert type(config) is type(value)


@pytest.mark.parametrize(
    ("item", "setting", "value", "rule"),
    [
        ("train.lr=abc", "train.lr", "abc", "must be a number"),
        ("train.lr=true", "train.lr", True, "must be a number"),
        ("train.lr=nan", "train.lr", pytest.approx(math.nan, nan_ok=True), "by default 0.05 of sgd"),
        ("train.lr=[1]", "train.lr", [1], "must be a number above 0"),
        ("train.epochs=1.5", "train.epochs", 1.5, "a whole number"),
        ("train.milestones=0.5,x", "train.milestones", "0.5,x", "each a number in (0, 1]"),
        ("train.schedule=3", "train.schedule", 3, "one of steps, cosine, constant"),
        ("train=1", "train", 1, "such as train.epochs"),
        ("model=3", "model", 3, "such as model.name"),
        ("target=true", "target", True, "must be text"),
        ("target.x=1", "target", {"x": 1}, "must be text"),
        ("sead=1", "setting", "sead", "did you mean 'seed'?"),
        ("train.lr.deep=1", "train.lr", {"deep": 1}, "must be a number"),
        ("=3", "--set", "=3", "write key=value"),
        ("seed", "--set", "seed", "write key=value"),
        ("seed=2147483648", "seed", 2147483648, "in [0, 2147483647]"),
        ("methods=[]", "methods", ANY, "is empty"),
        ("methods=har,har", "methods", "har,har", "twice"),
        ("test=1", "test", 1, "a share of the rows in (0, 1)"),
        ("test=-0.1", "test", -0.1, "a share of the rows"),
        ("method.name=3", "method.name", 3, "must be text"),
    ],
)
def test_set_refuses(item, setting, value, rule) -> None:
    with refused(setting, value, rule=rule):
        read(None, {}, [item])


def test_a_value_can_not_become_a_table(tmp_path: Path) -> None:
    with refused("method.strength", 1, rule="'method' is already a value"):
        read(written(tmp_path, 'method = "har"\n'), {"method.strength": 1})


@pytest.mark.parametrize(
    ("content", "rule"), [(None, "No such file"), (b"\xff", "can't be read"), (b"source = \n", "not TOML")]
)
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, content, rule) -> None:
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with refused(str(path), None, rule=rule):
        read(path, {})


def test_numbers_of_numpy_are_numbers() -> None:
    config = build_config({"seed": np.int64(3), "limit": np.int32(40), "train": {"lr": np.float32(0.5)}})
    assert (config.seed, config.limit, config.train.lr) == (3, 40, 0.5)
    assert type(config.seed) is int
    assert type(config.train.lr) is float


@pytest.mark.parametrize("test", ["none", "other.csv", "0.2"])
def test_a_test_set_is_a_share_or_a_name(test) -> None:
    assert (
        Config(test=test).test == {"none": Nothing(), "other.csv": FromSource("other.csv"), "0.2": HoldOut(0.2)}[test]
    )
    assert str(Config(test=test).test) == test


def test_a_setting_goes_to_every_compared_method_that_has_it() -> None:
    config = Config(methods=("erm", "unif", "har"), method={"strength": 2.0, "gradient": "exact"})
    methods = compared_methods(config)
    assert methods["erm"] == ERM()
    assert methods["unif"] == HAR(strength=2.0, gradient="exact", weighting="uniform")
    assert methods["har"] == HAR(strength=2.0, gradient="exact")
    with refused("setting of erm, unif, har", "strenght", rule="did you mean 'strength'"):
        compared_methods(Config(method={"strenght": 2.0}))
    with refused("method", "haar", rule="did you mean 'har'"):
        compared_methods(Config(methods=("erm", "haar")))


def test_the_table_of_a_preset_keeps_its_name() -> None:
    method = make_method("unif", {"strength": 0.3})
    table = method_table(method, "unif")
    assert table["name"] == "unif"
    assert the_method(Config(method={k: v for k, v in table.items() if v is not None})) == method


def test_an_estimate_that_can_not_be_is_refused() -> None:
    for name, value, rule in (("folds", 1, "at least 2"), ("epochs", 0, "(0, 10]"), ("kind", "k", "one of")):
        with refused(f"estimate.{name}", value, rule=rule):
            Estimation(**{name: value})


def test_the_example_is_a_configuration() -> None:
    example = ROOT / "examples" / "demo.toml"
    assert list(compared_methods(read(example, {}))) == ["erm", "unif", "har", "har-auto"]


def test_in_a_comparison_a_preset_keeps_its_own_settings() -> None:
    config = read(None, {"methods": "erm,unif,har,har-auto", "method.strength": 0.5})
    methods: dict[str, Any] = dict(compared_methods(config))
    assert [methods[name].strength for name in ("unif", "har", "har-auto")] == [0.5, 0.5, "auto"]
    assert methods["unif"].weighting == "uniform"
