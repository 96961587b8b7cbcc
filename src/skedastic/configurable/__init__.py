"""A setting is stated once: the field of a dataclass holds its default, its meaning and its range.

    @dataclass(frozen=True, kw_only=True)
    class GCE(PerExampleLoss):
        q: float = setting(0.7, "0 is cross entropy, 1 the absolute error", "[0, 1]")

Validation, `--help`, a method's card, the reference in `docs/` and the docstring that editors show all read that field.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field
from functools import cache
from typing import Any, ClassVar, Self, get_args, get_type_hints

from skedastic.configurable.kinds import Range, choices, culprit, expected, fits, may_be_none, plain, type_text
from skedastic.errors import UserError, suggestion

__all__ = ["Configurable", "Range", "Setting", "Written", "described", "markdown_table", "setting"]

WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # between the words of a class's name


@dataclass(frozen=True)
class Setting:
    """The meaning and the range of a field.

    Parameters
    ----------
    meaning : str
        The effect of the setting, in a few words.
    range : Range or None
        The interval of its numbers; None for any but NaN.
    """

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
        The effect of the setting, its unit, the meaning of its ends, and the way out where another value is refused,
        in a few words without a capital and a full stop.
    range : str
        The interval of a number, or of each of several, such as "(0, 1]"; empty for any but NaN.
    factory : callable
        Makes the default, in place of `default`.
    """
    said = {"setting": Setting(meaning, Range.parse(range) if range else None)}
    return field(default=default, metadata=said) if factory is None else field(default_factory=factory, metadata=said)


class Written(ABC):
    """The base of values with a written form of their own, such as `test = 0.2` or `test = "a.csv"`."""

    @classmethod
    @abstractmethod
    def read(cls, plain: Any, place: str) -> Self:
        """Return the value of its written form.

        Parameters
        ----------
        plain : Any
            The written form, as TOML gives it.
        place : str
            The dotted name of the setting, for errors.

        Raises
        ------
        UserError
            This is the written form of no value.
        """

    @abstractmethod
    def written(self) -> Any:
        """Return the plain data that `read` understands."""


class Configurable:
    """The base of dataclasses whose fields are settings, which are checked when an instance is made.

    Every setting must be of its field's type, and its numbers within its range. A number of NumPy becomes one of
    Python, a list becomes a tuple, and "none" becomes None where a setting is no text. A `Written` may be given in its
    written form. A subclass with a rule across several fields overrides `__post_init__`, and calls this one first.
    """

    section: ClassVar[str | None] = None  # of the configuration, such as "train"; by default the name of the class

    def __post_init__(self) -> None:
        """Check every setting. Raises UserError for the first one that does not fit."""
        for field_, hint in _settings(type(self)):
            given = getattr(self, field_.name)
            value = _read(given, hint, self.place(field_.name))
            if not _fits(value, field_, hint):
                raise _refused(self.place(field_.name), given, field_, hint)
            if value is not given:
                object.__setattr__(self, field_.name, value)

    @classmethod
    def place(cls, name: str) -> str:
        """Return the name of a setting in messages, such as "train.lr".

        Parameters
        ----------
        name : str
            The name of its field.
        """
        section = cls.shown_name() if cls.section is None else cls.section
        return f"{section}.{name}" if section else name

    @classmethod
    def shown_name(cls) -> str:
        """Return the name that users write for the class."""
        return WORDS.sub("-", cls.__name__).lower()

    def __init_subclass__(cls, **options: Any) -> None:
        """Add the settings to the docstring, one a line, for editors and the reference."""
        super().__init_subclass__(**options)
        inherited = {name: f for base in reversed(cls.__mro__[1:]) for name, f in _fields_of(base)}
        own = {name: f for name, f in vars(cls).items() if isinstance(f, Field) and "setting" in f.metadata}
        doc = inspect.cleandoc(vars(cls).get("__doc__") or "")
        if own and doc and "\nParameters\n" not in doc:
            rows = "\n".join(_numpydoc(f, hint) for f, hint in _with_hints(cls, inherited | own))
            cls.__doc__ = f"{doc}\n\nParameters\n----------\n{rows}\n"


def described(cls: type[Configurable]) -> Iterator[tuple[Field[Any], Setting]]:
    """Yield the fields of a class in their order, with the meaning and range of each."""
    for field_, _ in _settings(cls):
        yield field_, _said(field_)


def markdown_table(cls: type[Configurable]) -> str:
    """Return a Markdown table of a class's settings: name, type, default, range, meaning."""
    rows = ["| setting | type | default | range | meaning |", "| --- | --- | --- | --- | --- |"]
    for field_, hint in _settings(cls):
        said = _said(field_)
        default = f"`{_default(field_)}`" if _default(field_) else "required"
        cells = (f"`{cls.place(field_.name)}`", type_text(hint), default, str(said.range or ""), said.meaning)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def _settings(cls: Any) -> tuple[tuple[Field[Any], Any], ...]:
    return _read_settings(cls)


@cache
def _read_settings(cls: Any) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(cls)
    return tuple((f, hints[f.name]) for f in dataclasses.fields(cls) if "setting" in f.metadata)


def _said(field_: Field[Any]) -> Setting:
    said: Setting = field_.metadata["setting"]
    return said


def _read(given: Any, hint: Any, place: str) -> Any:
    """Return a value in its field's own form."""
    if hint is Any:
        return given
    if may_be_none(hint) and (given is None or (isinstance(given, str) and given == "none")):
        return None
    for kind in get_args(hint) if may_be_none(hint) else (hint,):
        if isinstance(kind, type) and issubclass(kind, Written) and not isinstance(given, kind):
            return kind.read(given, place)
    return plain(given)


def _fits(value: Any, field_: Field[Any], hint: Any) -> bool:
    return (value is None and field_.default is None) or fits(hint, value, _said(field_).range)


def _refused(place: str, value: Any, field_: Field[Any], hint: Any) -> UserError:
    said = _said(field_)
    key, value, hint = culprit(hint, value, said.range)
    near = suggestion(value, choices(hint)) if isinstance(value, str) else ""
    infinite = isinstance(value, float) and math.isinf(value) and said.range is not None and math.isinf(said.range.high)
    rule = f"must be {expected(hint, said.range)}{' and finite' if infinite else ''}{near}; {said.meaning}"
    return UserError(rule, setting=f"{place}{key}", value=value)


def _fields_of(base: type[Any]) -> Iterator[tuple[str, Field[Any]]]:
    fields: dict[str, Field[Any]] = vars(base).get("__dataclass_fields__", {})
    return ((name, f) for name, f in fields.items() if "setting" in f.metadata)


def _with_hints(cls: type[Any], fields: dict[str, Field[Any]]) -> Iterator[tuple[Field[Any], str]]:
    """Yield the fields of a new class, with their types in words."""
    try:
        hints = get_type_hints(cls)
    except NameError:  # a type that is defined further below
        hints = {}
    for name, field_ in fields.items():
        written = vars(cls).get("__annotations__", {}).get(name, "")
        yield field_, f"{name} : {type_text(hints[name]) if name in hints else written}"


def _numpydoc(field_: Field[Any], name_and_type: str) -> str:
    said, default = _said(field_), _default(field_, call_factory=False)
    within = "" if said.range is None else f"; {said.range}"
    words = f"{said.meaning[:1].upper()}{said.meaning[1:]}{within}."
    return f"{name_and_type}{f', default {default}' if default else ''}\n    {words}"


def _default(field_: Field[Any], *, call_factory: bool = True) -> str:
    """Return how a field's default is written; empty where it has none, or where its factory may not be called."""
    factory = field_.default_factory
    if factory is MISSING:
        return "" if field_.default is MISSING else repr(field_.default)
    if isinstance(factory, type):
        return f"{factory.__name__}()"
    return repr(factory()) if call_factory else ""
