"""A setting is said once: its default, its meaning and its range stand in the field of a dataclass.

    @dataclass(frozen=True, kw_only=True)
    class GCE(PerExampleLoss):
        q: float = setting(0.7, "0 is cross entropy, 1 the absolute error", "[0, 1]")

Validation, `--help`, a method's card, the reference in `docs/` and the docstring that editors show all come from there.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field
from numbers import Real
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from skedastic.errors import UserError, check_choice

INTERVAL = re.compile(r"([\[(])\s*([^,]+),\s*([^,]+)([\])])")


@dataclass(frozen=True)
class Range:
    """An interval of numbers, written as in mathematics: "[0, 1)", "(0, inf)".

    Parameters
    ----------
    low, high : float
        The ends; infinite where there is none.
    low_in, high_in : bool
        Whether an end belongs to the interval.
    """

    low: float
    high: float
    low_in: bool
    high_in: bool

    @classmethod
    def parse(cls, text: str) -> Range:
        """Return the interval that `text` writes. Raises ValueError where it writes none."""
        match = INTERVAL.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no interval; write [0, 1) or (0, inf)")
        opening, low, high, closing = match.groups()
        return cls(float(low), float(high), opening == "[", closing == "]")

    def __contains__(self, value: float) -> bool:
        above = value > self.low or (self.low_in and value == self.low)
        return bool(above and (value < self.high or (self.high_in and value == self.high)))

    def __str__(self) -> str:
        if self.high == math.inf and not self.high_in:
            return f"at least {self.low:g}" if self.low_in else f"above {self.low:g}"
        return f"in {'[' if self.low_in else '('}{self.low:g}, {self.high:g}{']' if self.high_in else ')'}"


@dataclass(frozen=True)
class Setting:
    """What is said of a field: its meaning in a few words, and its range where it holds numbers."""

    meaning: str
    range: Range | None = None


def setting(
    default: Any = MISSING, meaning: str = "", range: str = "", *, factory: Callable[[], Any] | None = None
) -> Any:
    """Return the field of a dataclass with its default, meaning and range.

    Parameters
    ----------
    default : Any
        The default; None is always allowed where it is the default.
    meaning : str
        What the setting does, its unit, and what its ends mean, in a few words without a capital.
    range : str
        The interval of a number, or of each of several, such as "(0, 1]"; empty for any.
    factory : callable
        Makes the default, in place of `default`.
    """
    said = {"setting": Setting(meaning, Range.parse(range) if range else None)}
    return field(default=default, metadata=said) if factory is None else field(default_factory=factory, metadata=said)


class Configurable:
    """The base of dataclasses whose fields are settings: they are checked when an instance is made.

    A subclass with a rule across several fields overrides `__post_init__`, and calls this one first.
    """

    section: ClassVar[str] = ""  # of the configuration, such as "train"; by default the name of what is configured

    def __post_init__(self) -> None:
        """Check every setting. Raises UserError for the first that is out of its range, or none of its choices."""
        for field_, hint in _settings(type(self)):
            _check(self.place(field_.name), getattr(self, field_.name), field_, hint)

    @classmethod
    def place(cls, name: str) -> str:
        """Return how a message names the setting `name`."""
        return f"{cls.section or cls.shown_name()}.{name}"

    @classmethod
    def shown_name(cls) -> str:
        """Return the name that a user gives this by."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    def __init_subclass__(cls, **options: Any) -> None:
        """Add the settings to the docstring, one a line, as editors and the reference show them."""
        super().__init_subclass__(**options)
        own = [(name, f) for name, f in vars(cls).items() if isinstance(f, Field) and "setting" in f.metadata]
        if own and cls.__doc__ and "Parameters\n" not in cls.__doc__:
            types = vars(cls).get("__annotations__", {})
            rows = "".join(_numpydoc(name, str(types.get(name, "")), f) for name, f in own)
            cls.__doc__ = f"{cls.__doc__.rstrip()}\n\n    Parameters\n    ----------\n{rows}    "


def described(cls: type[Configurable]) -> Iterator[tuple[Field[Any], Setting]]:
    """Yield the fields of a class with what is said of each, in their order."""
    for field_, _ in _settings(cls):
        yield field_, field_.metadata["setting"]


def _settings(cls: type[Any]) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(cls)
    return tuple((f, hints[f.name]) for f in dataclasses.fields(cls) if "setting" in f.metadata)


def _check(place: str, value: Any, field_: Field[Any], hint: Any) -> None:
    if value is None:
        return
    if get_origin(hint) is Literal:
        check_choice(place, value, get_args(hint))
    allowed: Range | None = field_.metadata["setting"].range
    if allowed is None or isinstance(value, str):
        return
    for item in value if isinstance(value, (tuple, list)) else [value]:
        if not isinstance(item, Real) or float(item) not in allowed:
            each = "each must be" if isinstance(value, (tuple, list)) else "must be"
            raise UserError(f"{each} {allowed}; {field_.metadata['setting'].meaning}", setting=place, value=value)


def _numpydoc(name: str, type_: str, field_: Field[Any]) -> str:
    said: Setting = field_.metadata["setting"]
    default = "" if field_.default is MISSING else f", default {field_.default!r}"
    words = f"{said.meaning[:1].upper()}{said.meaning[1:]}{'' if said.range is None else f'; {said.range}'}."
    return f"    {name} : {type_}{default}\n        {words}\n"
