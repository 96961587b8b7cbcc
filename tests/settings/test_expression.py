"""The small language in which methods are put together: texts that are read, and texts that are refused."""

import math

import pytest

from skedastic.errors import UserError, quoted
from skedastic.settings.expression import parse_expression, split
from tests.support.refusals import check_refusal, refused

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
def test_a_text_becomes_plain_data(text, value) -> None:
    data = parse_expression(text, "method")
    assert data == value
    assert repr(data) == repr(value), "whole numbers are whole, and fractions are not"


@pytest.mark.parametrize("value", VALUES.values(), ids=range(len(VALUES)))
def test_a_written_value_is_read_back(value) -> None:
    assert parse_expression(written(value), "method") == value


@pytest.mark.parametrize(("text", "value"), [(t, v) for t, v in VALUES.items() if '"' not in t])
def test_spaces_and_lines_around_signs_mean_nothing(text, value) -> None:
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
def test_a_text_that_can_not_be_read_is_refused_with_the_missing_part(text, rule) -> None:
    with refused("method", text, rule=rule) as caught:
        parse_expression(text, "method")
    assert caught.value.rule.endswith("such as absgd(lam=5, loss=ldam)")


@pytest.mark.parametrize("text", VALUES, ids=range(len(VALUES)))
def test_a_text_that_is_cut_anywhere_is_read_or_refused_and_nothing_else(text) -> None:
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
        ('f(x,"a, b"', ["f(x", "a, b"]),
        ("a), b", ["a)", "b"]),
        ('"a, b",c', ["a, b", "c"]),
        ('c, "a ""x"", (b"', ["c", 'a "x", (b']),
        ('"q" r,b', ['"q" r', "b"]),
        ('"a,b', ['"a', "b"]),
        ('erm(loss="x,y"),har', ['erm(loss="x,y")', "har"]),
    ],
)
def test_a_list_is_split_at_the_commas_that_are_in_no_brackets_and_no_quotes(text, parts) -> None:
    assert split(text) == parts


@pytest.mark.parametrize("name", ["a", "a, b", '"q"', 'a "b", c', '"', "f(x", "a,", 'say "hi"'])
def test_a_quoted_name_is_read_back_from_a_list(name: str) -> None:
    assert split(f"{quoted(name)}, {quoted('x, y')}") == [name, "x, y"]
