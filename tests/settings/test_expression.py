"""The small language in which methods are put together: read, refused, and the same as Python and TOML."""

import dataclasses
import math

import pytest

from skedastic.core.class_weights import Deferred, EffectiveNumber, Given, Inverse
from skedastic.core.heads import CosineHead
from skedastic.core.samplers import ClassBalanced
from skedastic.errors import UserError
from skedastic.losses.focal import Focal
from skedastic.losses.ldam import LDAM
from skedastic.methods.absgd import ABSGD
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.methods.presets import presets
from skedastic.methods.two_stage import TwoStage
from skedastic.settings.config import Config
from skedastic.settings.expression import parse_expression, split
from skedastic.settings.methods import compared_methods, make_method, method_table, the_method
from skedastic.settings.reading import build_config, read, to_toml
from tests.support.command_line import refusal
from tests.support.refusals import check_refusal, refused

LDAM_DRW = ABSGD(lam=5, loss=LDAM(), class_weights=Deferred(of=EffectiveNumber()))
WHOLE = "absgd(lam=5, loss=ldam, class_weights=deferred(effective-number))"

VALUES = {
    "erm": "erm",
    "effective-number": "effective-number",
    "erm()": {"name": "erm"},
    "absgd(lam=5)": {"name": "absgd", "lam": 5},
    "absgd(lam=5.0)": {"name": "absgd", "lam": 5.0},
    "absgd(lam=5, loss=ldam)": {"name": "absgd", "lam": 5, "loss": "ldam"},
    "f(a=1,)": {"name": "f", "a": 1},
    "deferred(inverse)": {"name": "deferred", "": "inverse"},
    "deferred(inverse, start=0.5)": {"name": "deferred", "": "inverse", "start": 0.5},
    "deferred(start=0.5, inverse(power=1))": {"name": "deferred", "start": 0.5, "": {"name": "inverse", "power": 1}},
    "f(g(h(i(1))))": {"name": "f", "": {"name": "g", "": {"name": "h", "": {"name": "i", "": 1}}}},
    WHOLE: {
        "name": "absgd",
        "lam": 5,
        "loss": "ldam",
        "class_weights": {"name": "deferred", "": "effective-number"},
    },
    "f(a=[1, 2.5, x])": {"name": "f", "a": [1, 2.5, "x"]},
    "f(a=[])": {"name": "f", "a": []},
    "f(lam=[[0, inf], [0.8, -inf]])": {"name": "f", "lam": [[0, math.inf], [0.8, -math.inf]]},
    "[focal(gamma=1), ldam]": [{"name": "focal", "gamma": 1}, "ldam"],
    "given(weights_of={cat=2, dog=0.5})": {"name": "given", "weights_of": {"cat": 2, "dog": 0.5}},
    "{}": {},
    "{a={b=[1]}}": {"a": {"b": [1]}},
    '{"two words"=1, \'it\'=2}': {"two words": 1, "it": 2},
    "f(a=-1, b=+2, c=-.5, d=1e-3, e=-2.5E+2, f=3.)": {
        "name": "f", "a": -1, "b": 2, "c": -0.5, "d": 0.001, "e": -250.0, "f": 3.0,
    },
    "-inf": -math.inf,
    "7": 7,
    "f(a=true, b=false, c=True)": {"name": "f", "a": True, "b": False, "c": True},
    'f(a="5", b=\'true\', c="a, b) =", d="")': {"name": "f", "a": "5", "b": "true", "c": "a, b) =", "d": ""},
    "f(a=layer3.*, b=bn?, c=torch:nn, d=1.2.3, e=5x, f=info, g=1-2)": {
        "name": "f", "a": "layer3.*", "b": "bn?", "c": "torch:nn", "d": "1.2.3", "e": "5x", "f": "info", "g": "1-2",
    },
    "f(größe=1)": {"name": "f", "größe": 1},
    "  f  (  a = 1 ,\n\tb = [ 1 ,2 ]  )  ": {"name": "f", "a": 1, "b": [1, 2]},
}  # fmt: skip


def written(value):
    """Plain data as an expression: the way back."""
    if isinstance(value, dict):
        name, rest = value.get("name"), {k: v for k, v in value.items() if k != "name"}
        inside = ", ".join(f'"{k}"={written(v)}' if k else written(v) for k, v in rest.items())
        return f"{name}({inside})" if name else f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else (
        f'"{value}"' if isinstance(value, str) else repr(value)
    )  # fmt: skip


# Read.


@pytest.mark.parametrize(("text", "value"), VALUES.items(), ids=range(len(VALUES)))
def test_a_text_becomes_plain_data(text, value):
    data = parse_expression(text, "method")
    assert data == value
    assert repr(data) == repr(value), "whole numbers are whole, and fractions are not"


@pytest.mark.parametrize("value", VALUES.values(), ids=range(len(VALUES)))
def test_a_written_value_is_read_back(value):
    assert parse_expression(written(value), "method") == value


@pytest.mark.parametrize(("text", "value"), [(t, v) for t, v in VALUES.items() if '"' not in t])
def test_spaces_and_lines_around_signs_mean_nothing(text, value):
    for sign in "()[]{},=":
        text = text.replace(sign, f" \n {sign}\t")
    assert parse_expression(text, "method") == value


# Refused.


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "ends too early"),
        ("absgd(", "ends too early"),
        ("absgd(lam=5,", "ends too early"),
        ("absgd(lam=5", "')' or a comma is missing before the end"),
        ("absgd(lam=5, loss=ldam", "')' or a comma is missing before the end"),
        ("absgd(loss=focal(gamma=1)", "')' or a comma is missing before the end"),
        ("absgd(lam=[1, 2)", "']' or a comma is missing before ')'"),
        ("absgd(lam=[[0, 1], [0.8, 5]", "missing before the end"),
        ("given({a=1)", "'}' or a comma is missing before ')'"),
        ("[1, 2", "']' or a comma is missing before the end"),
        ("absgd(lam=5))", "nothing can follow at ')'"),
        ("absgd(lam=5) and more", "nothing can follow at 'and more'"),
        ("absgd[lam=5]", "nothing can follow at '[lam=5]'"),
        ("absgd erm", "nothing can follow at 'erm'"),
        ("absgd, erm", "nothing can follow at ', erm'"),
        ("lam=5", "nothing can follow at '=5'"),
        ("absgd(lam=)", "a value is missing before ')'"),
        ("absgd(lam=, loss=ldam)", "a value is missing before ','"),
        ("absgd(lam=", "ends too early"),
        ("absgd(=5)", "a value is missing before '='"),
        ("absgd(lam==5)", "a value is missing before '='"),
        ("absgd(lam=5,, loss=ldam)", "a value is missing before ','"),
        ("absgd(,)", "a value is missing before ','"),
        ("[1,,2]", "a value is missing before ','"),
        ("(lam=5)", "a value is missing before '('"),
        ("absgd(lam=5 loss=ldam)", "')' or a comma is missing before 'loss=ldam)'"),
        ("absgd(lam=5\nloss=ldam)", "')' or a comma is missing before 'loss=ldam)'"),
        ("absgd(lam=5; loss=ldam)", "'; loss=ldam)' begins no value"),
        ("absgd(lam=$5)", "'$5)' begins no value"),
        ("absgd(lam=5)!", "'!' begins no value"),
        ("absgd(lam=-x)", "'-x)' begins no value"),
        ('absgd(loss="ldam)', "begins no value"),
        ("absgd(loss='ldam)", "begins no value"),
        ("<script>", "'<script>' begins no value"),
        ("absgd(lam=5, lam=6)", "lam is given twice"),
        ("absgd(lam=5, loss=ldam, lam=5)", "lam is given twice"),
        ("deferred(inverse, balanced)", "a setting without a name is given twice"),
        ("absgd(name=erm)", "name is given twice"),
        ("{a=1, a=2}", "a is given twice"),
        ('{a=1, "a"=2}', "a is given twice"),
        ("f(a=g(b=1, b=2))", "b is given twice"),
    ],
)
def test_a_text_that_can_not_be_read_is_refused_with_the_missing_part(text, rule):
    with refused("method", text, rule=rule) as caught:
        parse_expression(text, "method")
    assert caught.value.rule.endswith("such as absgd(lam=5, loss=ldam)")


@pytest.mark.parametrize("text", VALUES, ids=range(len(VALUES)))
def test_a_text_that_is_cut_anywhere_is_read_or_refused_and_nothing_else(text):
    refusals = []
    for at in range(len(text)):
        try:
            parse_expression(text[:at], "method")
        except UserError as error:
            refusals.append(error)
            check_refusal(error, "method", text[:at].rstrip(), rule="write name(setting=value, …)")
    assert refusals, "an empty text is no expression"


# Lists of methods.


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("erm", ["erm"]),
        ("erm,har", ["erm", "har"]),
        (" erm , har ", ["erm", "har"]),
        ("erm,absgd(lam=5, loss=ldam)", ["erm", "absgd(lam=5, loss=ldam)"]),
        ("a(b(c, d), e), f[g, h], {i=1, j=2}", ["a(b(c, d), e)", "f[g, h]", "{i=1, j=2}"]),
        ("", [""]),
        ("a,,b", ["a", "", "b"]),
        ("a,", ["a", ""]),
        ("a(b, c", ["a(b", "c"]),
        ("a), b", ["a)", "b"]),
    ],
)
def test_a_list_is_split_at_the_commas_that_are_in_no_brackets(text, parts):
    assert split(text) == parts


def test_methods_of_a_comparison_have_settings_of_their_own():
    config = build_config({"source": "digits", "methods": "erm,absgd(lam=5, loss=ldam)"})
    assert config.methods == ("erm", "absgd(lam=5, loss=ldam)")
    assert compared_methods(config) == {"erm": ERM(), "absgd(lam=5, loss=ldam)": ABSGD(lam=5, loss=LDAM())}
    listed = build_config({"source": "digits", "methods": ["erm", "absgd(lam=5, loss=ldam)"]})
    assert listed == config
    assert read(None, {"source": "digits"}, ["methods=erm,absgd(lam=5, loss=ldam)"]) == config


def test_a_setting_beside_the_methods_goes_to_those_that_do_not_have_it_themselves():
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
def test_a_comparison_refuses_a_method_that_can_not_be_read(methods, setting, value, rule):
    with refused(setting, value, rule=rule):
        compared_methods(build_config({"source": "digits", "methods": methods}))


# The same in Python, as text, and in TOML.


EQUAL = {
    WHOLE: LDAM_DRW,
    "absgd(loss=ldam(), class_weights=deferred(of=effective-number(beta=0.9999), start=0.8))": LDAM_DRW,
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
def test_a_text_is_the_object_that_python_makes(text, method):
    assert make_method(text, {}) == method
    assert the_method(build_config({"method": text})) == method
    assert the_method(build_config({"method": {"name": text}})) == method


@pytest.mark.parametrize(("text", "method"), EQUAL.items(), ids=EQUAL)
def test_a_configuration_is_written_and_read_back_with_it(tmp_path, text, method):
    path = tmp_path / "config.toml"
    whole = Config(source="digits", method=method_table(method, text))
    path.write_text(to_toml(whole), "utf-8")
    assert the_method(read(path, {})) == method
    assert to_toml(read(path, {})) == to_toml(whole)


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_written_whole_and_read_back_the_same(tmp_path, name):
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
    '[method.class_weights]\nname = "deferred"\nstart = 0.8\n'
    '[method.class_weights.of]\nname = "effective-number"\nbeta = 0.9999\n',
    "settings as text": '[method]\nname = "absgd(lam=5)"\nloss = "ldam(margin=0.5)"\n'
    'class_weights = "deferred(effective-number)"\n',
    "inline": 'method = {name = "absgd", loss = "ldam", '
    'class_weights = {name = "deferred", of = "effective-number()"}}\n',
}


@pytest.mark.parametrize("toml", TOML.values(), ids=TOML)
def test_it_is_the_same_from_toml(tmp_path, toml):
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
def test_it_is_the_same_from_set(sets, method):
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
def test_a_wrong_name_gets_the_nearest_right_one(text, kind, name, near):
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
def test_settings_that_can_not_be_put_together_are_refused(text, settings, setting, value, rule):
    with refused(setting, value, rule=rule):
        make_method(text, settings)


def test_a_setting_given_in_the_text_and_beside_it_is_refused_from_every_source(tmp_path):
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
    ],
)
def test_the_command_line_refuses_it_too(tmp_path, monkeypatch, capsys, line, setting, value, rule):
    monkeypatch.chdir(tmp_path)
    check_refusal(refusal(capsys, "fit", "digits", "--limit", "50", *line.split()), setting, value, rule=rule)
