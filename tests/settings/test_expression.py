"""The small language in which methods are put together: read, refused, and the same as Python and TOML."""

import dataclasses
import math

import pytest

from skedastic import cli
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
    found = parse_expression(text, "method")
    assert found == value
    assert repr(found) == repr(value), "whole numbers are whole, and fractions are not"


@pytest.mark.parametrize("value", VALUES.values(), ids=range(len(VALUES)))
def test_what_is_written_is_read_back(value):
    assert parse_expression(written(value), "method") == value


@pytest.mark.parametrize(("text", "value"), [(t, v) for t, v in VALUES.items() if '"' not in t])
def test_spaces_and_lines_around_signs_mean_nothing(text, value):
    for sign in "()[]{},=":
        text = text.replace(sign, f" \n {sign}\t")
    assert parse_expression(text, "method") == value


# Refused.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it ends too early"),
        ("absgd(", "it ends too early"),
        ("absgd(lam=5,", "it ends too early"),
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
        ("absgd(lam=", "it ends too early"),
        ("absgd(=5)", "a value is missing before '='"),
        ("absgd(lam==5)", "a value is missing before '='"),
        ("absgd(lam=5,, loss=ldam)", "a value is missing before ','"),
        ("absgd(,)", "a value is missing before ','"),
        ("[1,,2]", "a value is missing before ','"),
        ("(lam=5)", "a value is missing before '('"),
        ("absgd(lam=5 loss=ldam)", "')' or a comma is missing before 'loss=ldam)'"),
        ("absgd(lam=5\nloss=ldam)", "')' or a comma is missing before 'loss=ldam)'"),
        ("absgd(lam=5; loss=ldam)", "'; loss=ldam)' is nothing"),
        ("absgd(lam=$5)", "'$5)' is nothing"),
        ("absgd(lam=5)!", "'!' is nothing"),
        ("absgd(lam=-x)", "'-x)' is nothing"),
        ('absgd(loss="ldam)', "is nothing"),
        ("absgd(loss='ldam)", "is nothing"),
        ("<script>", "'<script>' is nothing"),
        ("absgd(lam=5, lam=6)", "lam is given twice"),
        ("absgd(lam=5, loss=ldam, lam=5)", "lam is given twice"),
        ("deferred(inverse, balanced)", "a setting without a name is given twice"),
        ("absgd(name=erm)", "name is given twice"),
        ("{a=1, a=2}", "a is given twice"),
        ('{a=1, "a"=2}', "a is given twice"),
        ("f(a=g(b=1, b=2))", "b is given twice"),
    ],
)
def test_what_can_not_be_read_is_one_line_that_says_what_is_missing(text, words):
    with pytest.raises(UserError) as error:
        parse_expression(text, "method")
    message = str(error.value)
    assert message.startswith(f"method={text!r} can't be read: ")
    assert words in message
    assert message.endswith("; write name(setting=value, …), such as absgd(lam=5, loss=ldam)")
    assert "\n" not in message


@pytest.mark.parametrize("text", VALUES, ids=range(len(VALUES)))
def test_a_text_that_is_cut_anywhere_is_read_or_refused_and_nothing_else(text):
    refused = []
    for at in range(len(text)):
        try:
            parse_expression(text[:at], "method")
        except UserError as error:
            refused.append(str(error))
    assert all(" can't be read: " in message and "\n" not in message for message in refused)
    assert refused, "nothing is no expression"


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
    found = compared_methods(config)
    assert found["erm"] == ERM(loss=Focal())
    assert found["erm(loss=ldam)"] == ERM(loss=LDAM())
    assert found["absgd(lam=2)"] == ABSGD(lam=2, loss=Focal())
    assert found["crt"] == make_method("crt", {})


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ("erm,absgd(lam=5", "methods='absgd(lam=5' can't be read"),
        ("erm,absgdd(lam=5)", "unknown method 'absgdd'; did you mean 'absgd'?"),
        ("erm(loss=ldam),erm(loss=ldam)", "the same name stands twice"),
    ],
)
def test_a_comparison_refuses_what_can_not_be_read(methods, words):
    with pytest.raises(UserError) as error:
        compared_methods(build_config({"source": "digits", "methods": methods}))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


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
    "tables all the way": '[method]\nname = "absgd"\nlam = 5.0\n[method.loss]\nname = "ldam"\nmargin = 0.5\nscale = 30\n'
    '[method.class_weights]\nname = "deferred"\nstart = 0.8\n'
    '[method.class_weights.of]\nname = "effective-number"\nbeta = 0.9999\n',
    "settings as text": '[method]\nname = "absgd(lam=5)"\nloss = "ldam(margin=0.5)"\n'
    'class_weights = "deferred(effective-number)"\n',
    "inline": 'method = {name = "absgd", loss = "ldam", class_weights = {name = "deferred", of = "effective-number()"}}\n',
}


@pytest.mark.parametrize("toml", TOML.values(), ids=TOML)
def test_it_is_the_same_from_toml(tmp_path, toml):
    (tmp_path / "config.toml").write_text(toml, "utf-8")
    assert the_method(read(tmp_path / "config.toml", {})) == LDAM_DRW


@pytest.mark.parametrize(
    ("sets", "method"),
    [
        (["method.name=erm", "method.loss=focal(gamma=1)"], ERM(loss=Focal(gamma=1))),
        (["method.name=erm", "method.loss=focal", "method.sampler=class-balanced"], ERM(loss=Focal(), sampler=ClassBalanced())),
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
    ("text", "words"),
    [
        ("absgdd", "unknown method 'absgdd'; did you mean 'absgd'?"),
        ("absgdd(lam=5)", "unknown method 'absgdd'; did you mean 'absgd'?"),
        ("absgd)", "did you mean 'absgd'?"),
        ("absgd(los=ldam)", "unknown setting 'method.los'; did you mean 'method.loss'?"),
        ("absgd(loss=focl)", "unknown loss 'focl'; did you mean 'focal'?"),
        ("absgd(loss=focl(gamma=1))", "unknown loss 'focl'; did you mean 'focal'?"),
        ("absgd(loss=focal(gama=1))", "unknown setting 'method.loss.gama'; did you mean 'method.loss.gamma'?"),
        ("absgd(class_weights=defered(inverse))", "unknown class weights 'defered'; did you mean 'deferred'?"),
        (
            "absgd(class_weights=deferred(efective-number))",
            "unknown class weights 'efective-number'; did you mean 'effective-number'?",
        ),
        (
            "absgd(class_weights=deferred(effective-number(bta=0.9)))",
            "unknown setting 'method.class_weights.of.bta'; did you mean 'method.class_weights.of.beta'?",
        ),
        ("absgd(class_weights=deferred(inverse, strat=1))", "did you mean 'method.class_weights.start'?"),
        ("absgd(sampler=clas-balanced)", "unknown sampler 'clas-balanced'; did you mean 'class-balanced'?"),
        ("absgd(head=cosin)", "unknown head 'cosin'; did you mean 'cosine'?"),
        ("absgd(head=cosine(scal=3))", "did you mean 'method.head.scale'?"),
        ("crt(first=absgdd(lam=5))", "unknown method 'absgdd'; did you mean 'absgd'?"),
        ("crt(first=absgd(los=ldam))", "unknown setting 'method.first.los'; did you mean 'method.first.loss'?"),
        ("crt(then=erm(sampler=clas-balanced))", "did you mean 'class-balanced'?"),
        ("tau-norm(bias=kep)", "did you mean 'keep'?"),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(text, words):
    with pytest.raises(UserError) as error:
        make_method(text, {})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("absgd(lam=5)", {"lam": 5}, "method.lam=5: given twice, in absgd(lam=…) and beside it; leave one out"),
        ("absgd(lam=5)", {"loss": "ldam", "lam": 3}, "method.lam=3: given twice"),
        ("absgd(5)", {}, "settings of a method have names, such as absgd(loss=focal)"),
        ("erm(loss=focal(1, gamma=2))", {}, "focal(…) has gamma twice"),
        ("erm(sampler=shuffle(3))", {}, "shuffle(…) takes no settings"),
        ("erm(loss=3)", {}, "method.loss=3: must be the name of a loss"),
        ("erm(loss=[focal])", {}, "must be the name of a loss"),
        ("erm(loss={gamma=1})", {}, "which loss? name it too, with method.loss.name=focal"),
        ("erm(loss=focal(gamma=high))", {}, "method.loss.gamma='high': must be a number"),
        ("erm(loss=focal(gamma=true))", {}, "method.loss.gamma=True: must be a number"),
        ("erm(loss=focal(gamma=nan))", {}, "must be a number"),
        ("absgd(lam=high)", {}, "method.lam='high': must be a number"),
        ("crt(first=3)", {}, "method.first=3: must be the name of a method"),
        ("crt(fresh_head=yes)", {}, "method.fresh_head='yes': must be true or false"),
        ("erm(loss=focal(gamma=1", {}, "can't be read"),
        ("[absgd(lam=5)]", {}, "must be the name of a method, with settings in brackets"),
        ("erm(loss=ldam(margin=-1))", {}, "method.loss.margin=-1: must be a number of at least 0"),
        ("erm(loss={name=[focal]})", {}, "loss"),
        ("{name=[erm], loss=focal(gamma=1)}", {}, "method"),
    ],
)
def test_what_can_not_be_put_together_is_one_line(text, settings, words):
    with pytest.raises(UserError) as error:
        make_method(text, settings)
    assert words in str(error.value).replace("-1.0", "-1")
    assert "\n" not in str(error.value)


def test_a_setting_given_in_the_text_and_beside_it_is_refused_wherever_it_is_from(tmp_path):
    (tmp_path / "config.toml").write_text('[method]\nname = "absgd(lam=5)"\nlam = 3\n')
    with pytest.raises(UserError, match=r"method\.lam=\S+: given twice"):
        the_method(read(tmp_path / "config.toml", {}))
    with pytest.raises(UserError, match=r"method\.lam=\S+: given twice"):
        the_method(read(None, {"method.name": "absgd(lam=5)"}, ["method.lam=5"]))
    (tmp_path / "config.toml").write_text('method = "absgd(lam=5)"\n')
    with pytest.raises(UserError, match="'method' is already a value, and must be a table"):
        read(tmp_path / "config.toml", {}, ["method.lam=3"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--method absgd(lam=5", "method='absgd(lam=5' can't be read: ')' or a comma is missing before the end"),
        ("--method absgd(los=ldam)", "did you mean 'method.loss'?"),
        ("--set method.loss=focl(gamma=1)", "unknown loss 'focl'; did you mean 'focal'?"),
        ("--method absgd(lam=5) --set method.lam=3", "method.lam=3: given twice"),
    ],
)
def test_the_command_line_refuses_it_in_one_line(tmp_path, monkeypatch, capsys, line, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", "digits", "--limit", "50", *line.split()])
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in err
    assert err.count("\n") == 1
