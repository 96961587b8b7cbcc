"""Methods from text: the same as in Python and TOML, and refused with the nearest right name."""

import dataclasses
import math
from pathlib import Path
from unittest.mock import ANY

import pytest

from skedastic.core.class_weights import Deferred, EffectiveNumber, Given, Inverse
from skedastic.core.heads import CosineHead
from skedastic.core.samplers import ClassBalanced
from skedastic.losses.focal import Focal
from skedastic.losses.ldam import LDAM
from skedastic.methods.absgd import ABSGD
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.methods.presets import presets
from skedastic.methods.two_stage import TwoStage
from skedastic.settings.config import Config
from skedastic.settings.methods import compared_methods, make_method, method_table, the_method, with_settings_alone
from skedastic.settings.reading import build_config, read, to_toml
from tests.support.command_line import refusal
from tests.support.refusals import check_refusal, refused

LDAM_DRW = ABSGD(lam=5, loss=LDAM(), class_weights=Deferred(of=EffectiveNumber()))
WHOLE = "absgd(lam=5, loss=ldam, class_weights=deferred(effective-number))"


def test_methods_of_a_comparison_have_settings_of_their_own() -> None:
    config = build_config({"source": "digits", "methods": "erm,absgd(lam=5, loss=ldam)"})
    assert config.methods == ("erm", "absgd(lam=5, loss=ldam)")
    assert compared_methods(config) == {"erm": ERM(), "absgd(lam=5, loss=ldam)": ABSGD(lam=5, loss=LDAM())}
    listed = build_config({"source": "digits", "methods": ["erm", "absgd(lam=5, loss=ldam)"]})
    assert listed == config
    assert read(None, {"source": "digits"}, ["methods=erm,absgd(lam=5, loss=ldam)"]) == config


def test_a_setting_beside_the_methods_goes_to_those_that_do_not_have_it_themselves() -> None:
    config = read(None, {"methods": "erm,erm(loss=ldam),absgd(lam=2),crt"}, ["method.loss=focal", "method.lam=7"])
    methods = compared_methods(config)
    assert methods["erm"] == ERM(loss=Focal())
    assert methods["erm(loss=ldam)"] == ERM(loss=LDAM())
    assert methods["absgd(lam=2)"] == ABSGD(lam=2, loss=Focal())
    assert methods["crt"] == make_method("crt", {})


@pytest.mark.parametrize(
    ("methods", "setting", "value", "rule"),
    [
        ("erm,absgd(lam=5", "methods", "absgd(lam=5", "missing before the end"),
        ("erm,absgdd(lam=5)", "method", "absgdd", "did you mean 'absgd'?"),
        ("erm(loss=ldam),erm(loss=ldam)", "methods", "erm(loss=ldam),erm(loss=ldam)", "twice"),
    ],
)
def test_a_comparison_refuses_a_method_that_can_not_be_read(methods, setting, value, rule) -> None:
    with refused(setting, value, rule=rule):
        compared_methods(build_config({"source": "digits", "methods": methods}))


# The same in Python, as text, and in TOML.


EQUAL = {
    WHOLE: LDAM_DRW,
    "absgd(loss=ldam(), class_weights=deferred(of=effective-number(beta=0.9999), start=first-drop))": LDAM_DRW,
    "erm(loss=focal(2))": ERM(loss=Focal(gamma=2)),
    "cb-focal(loss=focal(gamma=2))": ERM(loss=Focal(gamma=2), class_weights=EffectiveNumber()),
    "cb-ce(class_weights=none)": ERM(),
    "erm(head=cosine(16), sampler=class-balanced)": ERM(head=CosineHead(scale=16), sampler=ClassBalanced()),
    "erm(head=cosine(scale=auto))": ERM(head=CosineHead()),
    "erm(class_weights=given({cat=2, dog=0.5}))": ERM(class_weights=Given(weights_of={"cat": 2, "dog": 0.5})),
    "absgd(lam=[[0, inf], [0.8, 5]])": ABSGD(lam=((0.0, math.inf), (0.8, 5.0))),
    "absgd(lam=-inf)": ABSGD(lam=-math.inf),
    "har(strength=auto, taps=[layer3.*, bn1])": HAR(strength="auto", taps=("layer3.*", "bn1")),
    "har(taps=layer*.bn?)": HAR(taps=("layer*.bn?",)),
    "crt(first=absgd(lam=5, loss=ldam), then=erm(class_weights=deferred(inverse(0.5), start=2)), begins=0.5)": TwoStage(
        first=ABSGD(lam=5, loss=LDAM()),
        then=ERM(class_weights=Deferred(of=Inverse(power=0.5), start=2)),
        begins=0.5,
    ),
    "crt(first=cb-focal)": TwoStage(first=ERM(loss=Focal(gamma=1), class_weights=EffectiveNumber())),
    "crt(fresh_head=false, train=\"layer3.*,linear\")": TwoStage(fresh_head=False, train="layer3.*,linear"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "method"), EQUAL.items(), ids=EQUAL)
def test_a_text_is_the_object_that_python_makes(text, method) -> None:
    assert make_method(text, {}) == method
    assert the_method(build_config({"method": text})) == method
    assert the_method(build_config({"method": {"name": text}})) == method


@pytest.mark.parametrize(("text", "method"), EQUAL.items(), ids=EQUAL)
def test_a_configuration_is_written_and_read_back_with_it(tmp_path: Path, text, method) -> None:
    path = tmp_path / "config.toml"
    whole = Config(source="digits", method=method_table(method, text))
    path.write_text(to_toml(whole), "utf-8")
    assert the_method(read(path, {})) == method
    assert to_toml(read(path, {})) == to_toml(whole)


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_written_whole_and_read_back_the_same(tmp_path: Path, name) -> None:
    path, method = tmp_path / "config.toml", make_method(name, {})
    assert method == presets()[name].make()
    path.write_text(to_toml(Config(source="digits", method=method_table(method, name))), "utf-8")
    again = read(path, {})
    assert again.method["name"] == name
    assert the_method(again) == method
    assert set(again.method) == {"name", *(f.name for f in dataclasses.fields(method))}, "all of its settings"


TOML = {
    "text": f'method = "{WHOLE}"\n',
    "text as the name": f'[method]\nname = "{WHOLE}"\n',
    "tables": '[method]\nname = "absgd"\nlam = 5\nloss = "ldam"\n'
    '[method.class_weights]\nname = "deferred"\nof = "effective-number"\n',
    "tables all the way": '[method]\nname = "absgd"\nlam = 5.0\n'
    '[method.loss]\nname = "ldam"\nmargin = 0.5\nscale = 30\n'
    '[method.class_weights]\nname = "deferred"\nstart = "first-drop"\n'
    '[method.class_weights.of]\nname = "effective-number"\nbeta = 0.9999\n',
    "settings as text": '[method]\nname = "absgd(lam=5)"\nloss = "ldam(margin=0.5)"\n'
    'class_weights = "deferred(effective-number)"\n',
    "inline": 'method = {name = "absgd", loss = "ldam", '
    'class_weights = {name = "deferred", of = "effective-number()"}}\n',
}


@pytest.mark.parametrize("toml", TOML.values(), ids=TOML)
def test_it_is_the_same_from_toml(tmp_path: Path, toml) -> None:
    (tmp_path / "config.toml").write_text(toml, "utf-8")
    assert the_method(read(tmp_path / "config.toml", {})) == LDAM_DRW


@pytest.mark.parametrize(
    ("sets", "method"),
    [
        (["method.name=erm", "method.loss=focal(gamma=1)"], ERM(loss=Focal(gamma=1))),
        (
            ["method.name=erm", "method.loss=focal", "method.sampler=class-balanced"],
            ERM(loss=Focal(), sampler=ClassBalanced()),
        ),
        (["method.name=erm", "method.loss.name=focal", "method.loss.gamma=1"], ERM(loss=Focal(gamma=1))),
        (["method=absgd(lam=5, loss=ldam)"], ABSGD(lam=5, loss=LDAM())),
        ([f"method.name={WHOLE}"], LDAM_DRW),
        (["method.name=absgd(lam=5)", "method.loss=ldam"], ABSGD(lam=5, loss=LDAM())),
        (["method.name=cb-ce", "method.class_weights=none"], ERM()),
        (["method.name=absgd", "method.lam=[[0, inf], [0.8, 5]]"], ABSGD(lam=((0.0, math.inf), (0.8, 5.0)))),
        (["method.name=crt", "method.first=absgd(lam=5)"], TwoStage(first=ABSGD(lam=5))),
        (["method.name=crt", "method.first.name=absgd", "method.first.lam=5"], TwoStage(first=ABSGD(lam=5))),
    ],
)  # fmt: skip
def test_it_is_the_same_from_set(sets, method) -> None:
    assert the_method(read(None, {}, sets)) == method


# Wrong names get the nearest right one, at every level.


@pytest.mark.parametrize(
    ("text", "kind", "name", "near"),
    [
        ("absgdd", "method", "absgdd", "absgd"),
        ("absgdd(lam=5)", "method", "absgdd", "absgd"),
        ("absgd)", "method", "absgd)", "absgd"),
        ("absgd(los=ldam)", "setting", "method.los", "method.loss"),
        ("absgd(loss=focl)", "loss", "focl", "focal"),
        ("absgd(loss=focl(gamma=1))", "loss", "focl", "focal"),
        ("absgd(loss=focal(gama=1))", "setting", "method.loss.gama", "method.loss.gamma"),
        ("absgd(class_weights=defered(inverse))", "class weights", "defered", "deferred"),
        ("absgd(class_weights=deferred(efective-number))", "class weights", "efective-number", "effective-number"),
        (
            "absgd(class_weights=deferred(effective-number(bta=0.9)))",
            "setting",
            "method.class_weights.of.bta",
            "method.class_weights.of.beta",
        ),
        (
            "absgd(class_weights=deferred(inverse, strat=1))",
            "setting",
            "method.class_weights.strat",
            "method.class_weights.start",
        ),
        ("absgd(sampler=clas-balanced)", "sampler", "clas-balanced", "class-balanced"),
        ("absgd(head=cosin)", "head", "cosin", "cosine"),
        ("absgd(head=cosine(scal=3))", "setting", "method.head.scal", "method.head.scale"),
        ("crt(first=absgdd(lam=5))", "method", "absgdd", "absgd"),
        ("crt(first=absgd(los=ldam))", "setting", "method.first.los", "method.first.loss"),
        ("crt(then=erm(sampler=clas-balanced))", "sampler", "clas-balanced", "class-balanced"),
        ("tau-norm(bias=kep)", "method.bias", "kep", "keep"),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(text, kind, name, near) -> None:
    with refused(kind, name, rule=f"did you mean {near!r}?"):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "settings", "setting", "value", "rule"),
    [
        ("absgd(lam=5)", {"lam": 5}, "method.lam", 5, "in absgd(lam=…) and beside it"),
        ("absgd(lam=5)", {"loss": "ldam", "lam": 3}, "method.lam", 3, "given twice"),
        ("absgd(5)", {}, "method", 5, "such as absgd(loss=focal)"),
        ("erm(loss=focal(1, gamma=2))", {}, "method.loss", 1, "has gamma twice"),
        ("erm(sampler=shuffle(3))", {}, "method.sampler", 3, "takes no settings"),
        ("erm(loss=3)", {}, "method.loss", 3, "the name of a loss"),
        ("erm(loss=[focal])", {}, "method.loss", ["focal"], "the name of a loss"),
        ("erm(loss={gamma=1})", {}, "method.loss", {"gamma": 1}, "method.loss.name=focal"),
        ("erm(loss=focal(gamma=high))", {}, "method.loss.gamma", "high", "must be a number"),
        ("erm(loss=focal(gamma=true))", {}, "method.loss.gamma", True, "must be a number"),
        ("erm(loss=focal(gamma=nan))", {}, "method.loss.gamma", "nan", "must be a number"),
        ("absgd(lam=high)", {}, "method.lam", "high", "must be a number"),
        ("crt(first=3)", {}, "method.first", 3, "the name of a method"),
        ("crt(fresh_head=yes)", {}, "method.fresh_head", "yes", "true or false"),
        ("erm(loss=focal(gamma=1", {}, "method", "erm(loss=focal(gamma=1", "missing before the end"),
        ("[absgd(lam=5)]", {}, "method", "[absgd(lam=5)]", "with settings in brackets"),
        ("erm(loss=ldam(margin=-1))", {}, "method.loss.margin", -1, "of at least 0"),
        ("erm(loss={name=[focal]})", {}, "method.loss.name", ["focal"], "the name of a loss"),
        ("{name=[erm], loss=focal(gamma=1)}", {}, "method", "{name=[erm], loss=focal(gamma=1)}", "in brackets"),
    ],
)
def test_settings_that_can_not_be_put_together_are_refused(text, settings, setting, value, rule) -> None:
    with refused(setting, value, rule=rule):
        make_method(text, settings)


def test_a_setting_given_in_the_text_and_beside_it_is_refused_from_every_source(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[method]\nname = "absgd(lam=5)"\nlam = 3\n')
    with refused("method.lam", 3, rule="given twice"):
        the_method(read(tmp_path / "config.toml", {}))
    with refused("method.lam", 5, rule="given twice"):
        the_method(read(None, {"method.name": "absgd(lam=5)"}, ["method.lam=5"]))
    (tmp_path / "config.toml").write_text('method = "absgd(lam=5)"\n')
    with refused("method.lam", 3, rule="'method' is already a value"):
        read(tmp_path / "config.toml", {}, ["method.lam=3"])


@pytest.mark.parametrize(
    ("line", "setting", "value", "rule"),
    [
        ("--method absgd(lam=5", "method", "absgd(lam=5", "missing before the end"),
        ("--method absgd(los=ldam)", "setting", "method.los", "did you mean 'method.loss'?"),
        ("--set method.loss=focl(gamma=1)", "loss", "focl", "did you mean 'focal'?"),
        ("--method absgd(lam=5) --set method.lam=3", "method.lam", 3, "given twice"),
        pytest.param(f"--method absgd(lam={'9' * 5000})", "method", ANY, "too many digits", id="digits"),
    ],
)
def test_the_command_line_refuses_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line, setting, value, rule
) -> None:
    monkeypatch.chdir(tmp_path)
    check_refusal(
        refusal(capsys, "fit", "digits", "--limit", "50", *line.split(), alone=True), setting, value, rule=rule
    )


def test_settings_without_a_name_are_of_the_with_settings_alone_or_of_har() -> None:
    assert the_method(Config()) is None
    assert the_method(read(None, {}, ["method.class_weights=balanced"])) is None, "auto has them, and so has har"
    assert the_method(read(None, {}, ["method.strength=0.3"])) == HAR(strength=0.3)
    assert the_method(read(None, {}, ["method.select=0.5"])) == HAR(select=0.5)
    assert the_method(read(None, {}, ["method.optimize=accuracy"])) is None
    for items in (["method.optimize=accuracy", "method.name=erm"], ["method.optimize=accuracy", "method.strength=1"]):
        with refused("method.optimize", "accuracy", rule="by which auto chooses"):
            the_method(read(None, {}, items))
    assert the_method(read(None, {}, ["method.share=0.3"])) is None, "blend has it"
    with refused("method.share", 2, rule="[0, 1)"):
        the_method(read(None, {}, ["method.share=2"]))
    for item, way in (("iterations=5", "auto of classes (class_weights, "), ("nosuch=3", "or name a method with")):
        with refused("setting", f"method.{item.partition('=')[0]}", rule=way) as caught:
            the_method(read(None, {}, [f"method.{item}"]))
        assert "stack or blend of numbers (base, share), or har (skedastic methods har)" in caught.value.rule
        assert ("a method that has it with --method NAME: trees" in caught.value.rule) == (item == "iterations=5")
    with refused("setting", "method.strenght", rule="did you mean 'strength'? no method is named"):
        the_method(read(None, {}, ["method.strenght=1"]))
    with refused("setting", "method.share", rule="with --method NAME: blend"):
        the_method(read(None, {}, ["method.share=0.3", "method.strength=1"]))
    with refused("method.optimize", "accuracy", rule="by which auto chooses"):
        with_settings_alone("har", read(None, {}, ["method.optimize=accuracy"]))
