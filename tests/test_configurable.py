"""A setting is stated once: the checks, the errors and the docs of `setting` and `Configurable`."""

import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from skedastic.configurable import Configurable, Range, Written, described, markdown_table, setting
from skedastic.errors import UserError
from tests.support.refusals import refused

Order = Literal["ascending", "descending"]


@dataclass(frozen=True, kw_only=True)
class Inner(Configurable):
    """Settings inside of others."""

    depth: int = setting(1, "how deep it goes; 1 is flat", "[1, 9]")


@dataclass(frozen=True, kw_only=True)
class Example(Configurable):
    """Settings of every kind."""

    section: ClassVar[str | None] = "example"

    count: int = setting(2, "how many there are; BatchNorm can't take one alone", "[2, inf)")
    rate: float = setting(0.5, "how fast it goes", "(0, inf)")
    share: float | None = setting(None, "which part it takes", "[0, 1]")
    scale: float | Literal["auto"] = setting("auto", "by how much it is multiplied; 16 is usual", "(0, inf)")
    order: Order = setting("ascending", "in which order it comes")
    quick: bool = setting(False, "whether it hurries")
    marks: tuple[float, ...] = setting((0.5,), "where it stops, in fractions", "(0, 1]")
    pair: tuple[int, int] = setting((1, 2), "its two ends", "[0, inf)")
    weights: Mapping[str, float] = setting(meaning="how much each weighs", range="[0, inf)", factory=dict)
    name: str = setting("x", "how it is called")
    inner: Inner = setting(meaning="settings inside", factory=Inner)
    make: Callable[[], Any] | None = setting(None, "function that makes it")
    free: Any = setting(None, "anything at all")
    real: float = setting(0.0, "any number", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 2),
        ("count", np.int64(7)),
        ("rate", 1),
        ("rate", np.float32(0.25)),
        ("share", None),
        ("share", 1),
        ("scale", 2),
        ("scale", "auto"),
        ("order", "descending"),
        ("quick", np.bool_(True)),
        ("marks", ()),
        ("marks", [0.5, 1]),
        ("pair", (0, 3)),
        ("weights", {"a": 0, "b": 2.5}),
        ("inner", Inner(depth=3)),
        ("make", dict),
        ("free", object()),
        ("real", -math.inf),
    ],
)
def test_a_value_that_fits_is_taken(name, value) -> None:
    assert getattr(Example(**{name: value}), name) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("count", 1, "a whole number of at least 2"),
        ("count", 2.0, "a whole number of at least 2"),
        ("count", True, "a whole number"),
        ("count", "3", "a whole number"),
        ("count", None, "a whole number"),
        ("rate", 0, "a number above 0;"),
        ("rate", math.nan, "a number above 0;"),
        ("rate", math.inf, "above 0 and finite"),
        ("rate", "x", "a number above 0;"),
        ("rate", True, "a number above 0;"),
        ("share", 1.5, "a number in [0, 1], or none"),
        ("scale", 0, "a number above 0, or auto"),
        ("scale", "autos", "did you mean 'auto'?"),
        ("order", "ascnding", "did you mean 'ascending'?"),
        ("order", 3, "one of ascending, descending"),
        ("quick", 1, "true or false"),
        ("marks", (0.5, 2.0), "a list, each a number in (0, 1]"),
        ("marks", (0.5, "x"), "a list, each a number in (0, 1]"),
        ("marks", 0.5, "a list"),
        ("pair", (1, 2, 3), "a list, each a whole number of at least 0"),
        ("weights", [1.0], "a table"),
        ("name", 3, "text"),
        ("inner", {"depth": 1}, "an Inner"),
        ("make", 3, "a function"),
        ("real", math.nan, "a number;"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_meaning_of_the_setting(name, value, rule) -> None:
    meanings = {field.name: setting_.meaning for field, setting_ in described(Example)}
    with refused(f"example.{name}", value, rule=rule) as caught:
        Example(**{name: value})
    assert caught.value.rule.startswith("must be ")
    assert caught.value.rule.endswith(meanings[name])


def test_the_whole_message_has_setting_value_rule_and_way_out() -> None:
    with refused("example.count", 1) as caught:
        Example(count=1)
    assert str(caught.value) == (
        "example.count=1: must be a whole number of at least 2; how many there are; BatchNorm can't take one alone"
    )


def test_the_key_of_a_table_is_named() -> None:
    with refused("example.weights.b", -1.0, rule="of at least 0"):
        Example(weights={"a": 1.0, "b": -1.0})


def test_numbers_of_numpy_are_kept_and_shown_as_pythons_own() -> None:
    example = Example(count=np.int64(3), rate=np.float64(0.5), marks=[np.float32(0.5)])
    types = (type(example.count), type(example.rate), type(example.marks), type(example.marks[0]))
    assert types == (int, float, tuple, float)
    with refused("example.rate", -1.5) as caught:
        Example(rate=np.float64(-1.5))
    assert type(caught.value.value) is float
    matrix = np.zeros((3, 2))
    with pytest.raises(UserError) as error:
        Example(rate=matrix)
    assert (error.value.setting, error.value.value is matrix) == ("example.rate", True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "inside", "outside", "words"),
    [
        ("[0, 1)", (0, 0.5), (1, -1), "in [0, 1)"),
        ("(0, inf)", (1e-9, 1e9), (0, math.inf), "above 0"),
        ("[2, inf)", (2,), (1.9,), "of at least 2"),
        ("[0, inf]", (0, math.inf), (-1,), "of at least 0"),
        ("(-inf, 0)", (-1,), (0, -math.inf), "below 0"),
        ("(-inf, inf)", (-1e300,), (math.inf,), "that is finite"),
        ("[0, 2147483647]", (0,), (2147483648,), "in [0, 2147483647]"),
    ],
)
def test_a_range_is_written_as_in_mathematics(text, inside, outside, words) -> None:
    interval = Range.parse(text)
    assert all(value in interval for value in inside)
    assert not any(value in interval for value in (*outside, math.nan))
    assert str(interval) == words


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no interval"):
        setting(1, "", "0..1")


def test_the_docstring_has_a_parameter_a_line_in_numpydoc_form() -> None:
    assert Example.__doc__ is not None
    lines = Example.__doc__.splitlines()
    assert lines[:4] == ["Settings of every kind.", "", "Parameters", "----------"]
    assert lines[lines.index("scale : float or 'auto', default 'auto'") + 1] == (
        "    By how much it is multiplied; 16 is usual; above 0."
    )
    types = [line for line in lines[4:] if not line.startswith(" ")]
    assert types == [
        "count : int, default 2",
        "rate : float, default 0.5",
        "share : float or None, default None",
        "scale : float or 'auto', default 'auto'",
        "order : {'ascending', 'descending'}, default 'ascending'",
        "quick : bool, default False",
        "marks : tuple of float, default (0.5,)",
        "pair : tuple of int, default (1, 2)",
        "weights : mapping, default dict()",
        "name : str, default 'x'",
        "inner : Inner, default Inner()",
        "make : callable or None, default None",
        "free : Any, default None",
        "real : float, default 0.0",
    ]


def test_none_is_written_as_a_word_where_no_text_can_stand() -> None:
    assert Example(share="none").share is None
    assert Example(name="none").name == "none"


def test_a_value_with_a_form_of_its_own_is_taken_as_it_is_written() -> None:
    @dataclass(frozen=True)
    class Seconds(Written):
        number: float

        @classmethod
        def read(cls, plain, place):
            if not str(plain).endswith("s"):
                raise UserError("must be seconds, such as 3s", setting=place, value=plain)
            return cls(float(plain[:-1]))

        def written(self):
            return f"{self.number:g}s"

    Waiting = make_dataclass("Waiting", [("pause", Seconds, setting(Seconds(1), "how long"))], bases=(Configurable,))
    assert Waiting(pause="3s").pause == Waiting(pause=Seconds(3.0)).pause == Seconds(3.0)
    with refused("waiting.pause", "3"):
        Waiting(pause="3")


def test_a_subclass_describes_and_checks_inherited_settings() -> None:
    @dataclass(frozen=True, kw_only=True)
    class DeepInner(Inner):
        """Deeper."""

        width: int = setting(1, "how wide it is", "[1, inf)")

    assert [f.name for f, _ in described(DeepInner)] == ["depth", "width"]
    assert "depth : int, default 1" in (DeepInner.__doc__ or "")
    with refused("deep-inner.depth", 10):
        DeepInner(depth=10)


def test_the_reference_is_a_table_with_a_row_for_each_setting() -> None:
    header, rule, *rows = markdown_table(Example).splitlines()
    assert (header.count("|"), len(rows)) == (rule.count("|"), 14)
    assert rows[0] == (
        "| `example.count` | int | `2` | of at least 2 | how many there are; BatchNorm can't take one alone |"
    )
    assert "| `dict()` |" in rows[8]


def test_names_of_classes_are_shown_as_users_write_them() -> None:
    names = {"GaussianNLL": "gaussian-nll", "MWNet": "mw-net", "EffectiveNumber": "effective-number", "GCE": "gce"}
    for name, shown in names.items():
        made: type[Configurable] = type(name, (Configurable,), {})
        assert made.shown_name() == shown


def test_it_is_imported_without_anything_heavy() -> None:
    code = (
        "import sys, skedastic.configurable; "
        "print(*sorted(m for m in ('numpy', 'torch', 'pandas') if m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
