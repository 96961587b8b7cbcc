"""Types of settings: whether a value fits the type of its field, and how messages and docs write the type."""

from __future__ import annotations

import math
import re
import sys
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin

INTERVAL = re.compile(r"([\[(])\s*([^,]+),\s*([^,]+)([\])])")
UNIONS = (Union, types.UnionType)
NONE = type(None)


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
        """Return the interval of a text such as "[0, 1)". Raises ValueError where it is none."""
        match = INTERVAL.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no interval; write [0, 1) or (0, inf)")
        opening, low, high, closing = match.groups()
        return cls(float(low), float(high), opening == "[", closing == "]")

    def __contains__(self, value: float) -> bool:
        above = value > self.low or (self.low_in and value == self.low)
        return bool(above and (value < self.high or (self.high_in and value == self.high)))

    def __str__(self) -> str:
        low, high = _digits(self.low), _digits(self.high)
        if self.low == -math.inf and self.high == math.inf:
            return "of any size" if self.high_in else "that is finite"
        if self.high == math.inf:
            return f"of at least {low}" if self.low_in else f"above {low}"
        if self.low == -math.inf:
            return f"of at most {high}" if self.high_in else f"below {high}"
        return f"in {'[' if self.low_in else '('}{low}, {high}{']' if self.high_in else ')'}"


def fits(hint: Any, value: Any, within: Range | None = None) -> bool:
    """Return whether a value is of a type, and each number of it within a range; NaN is in none.

    Parameters
    ----------
    hint : type
        The type of a field: bool, int, float, str, Literal, a tuple, a mapping, a function, a class, or a union.
    value : Any
        Any value. A bool is no number, a whole number is a real one too, and a list fits a tuple.
    within : Range, optional
        The range of the numbers in it; by default any.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in UNIONS:
        return any(fits(kind, value, within) for kind in inner)
    if origin is Literal:
        return any(isinstance(value, type(choice)) and value == choice for choice in inner)
    if hint in (int, float):
        number = isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
        if number and abs(value) > sys.float_info.max and value not in (math.inf, -math.inf):
            return False  # it would overflow where it is used
        return number and value == value and (within is None or value in within)
    if origin is tuple:
        kinds = inner[:1] * len(value) if isinstance(value, (tuple, list)) and inner[-1] is Ellipsis else inner
        return _is_list_of(kinds, value, within)
    kind: Any = origin or hint
    if kind is Callable or not isinstance(kind, type):
        return callable(value)
    if issubclass(kind, Mapping) and inner:
        return isinstance(value, kind) and all(fits(inner[1], item, within) for item in value.values())
    return isinstance(value, kind)


def culprit(hint: Any, value: Any, within: Range | None) -> tuple[str, Any, Any]:
    """Return the part of a value that does not fit: its key in a table, such as ".cat", or ""; the part; its type."""
    inner = get_args(hint)
    if _is_mapping(get_origin(hint)) and isinstance(value, Mapping):
        return next((f".{key}", v, inner[1]) for key, v in value.items() if not fits(inner[1], v, within))
    return "", value, hint


def expected(hint: Any, within: Range | None = None) -> str:
    """Return how a message describes fitting values, such as "a number in [0, 1], or auto"."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in UNIONS:
        kinds = sorted((k for k in inner if k is not NONE), key=_is_literal)
        said = [expected(k, within).removeprefix("one of " if len(kinds) > 1 else "") for k in kinds]
        return ", or ".join([*said, *["none"] * may_be_none(hint)])
    if origin is Literal:
        return f"{'one of ' if len(inner) > 1 else ''}{', '.join(map(str, inner))}"
    if hint in (int, float):
        return f"a {'whole ' if hint is int else ''}number{'' if within is None else f' {within}'}"
    if origin is tuple:
        return f"a list, each {expected(inner[0], within)}"
    if _is_mapping(origin or hint):
        return f"a table{f', each {expected(inner[1], within)}' if inner and inner[1] is not Any else ''}"
    words = {bool: "true or false", str: "text", Any: "anything"}
    if hint in words or not isinstance(hint, type):
        return words.get(hint, "a function")
    return f"{'an' if hint.__name__[0] in 'AEIOU' else 'a'} {hint.__name__}"


def type_text(hint: Any) -> str:
    """Return how a docstring writes a type, such as "float or 'auto'" or "{'sgd', 'adam'}"."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in UNIONS:
        return " or ".join("None" if kind is NONE else type_text(kind) for kind in inner)
    if origin is Literal:
        choices = ", ".join(map(repr, inner))
        return f"{{{choices}}}" if len(inner) > 1 else choices
    if origin is tuple:
        return f"tuple of {type_text(inner[0])}"
    if _is_mapping(origin or hint):
        return "mapping"
    return getattr(hint, "__name__", str(hint)) if isinstance(hint, type) or hint is Any else "callable"


def may_be_none(hint: Any) -> bool:
    """Return whether None is of a type that no text is of, so that "none" can stand for it."""
    return get_origin(hint) in UNIONS and NONE in get_args(hint) and str not in get_args(hint)


def choices(hint: Any) -> tuple[str, ...]:
    """Return the words that a type allows."""
    if get_origin(hint) in UNIONS:
        return tuple(word for kind in get_args(hint) for word in choices(kind))
    return tuple(c for c in get_args(hint) if isinstance(c, str)) if get_origin(hint) is Literal else ()


def plain(value: Any) -> Any:
    """Return a value with all numbers as Python's own, also those in a list, which becomes a tuple, or in a table."""
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return tuple(plain(item) for item in value)
    if type(value) is dict:
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Real) and not isinstance(value, (Integral, float)):
        with suppress(OverflowError):
            return float(value)  # a fraction
    is_scalar = type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item")
    return value.item() if is_scalar else value


def _is_list_of(kinds: tuple[Any, ...], value: Any, within: Range | None) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != len(kinds):
        return False
    return all(fits(kind, item, within) for kind, item in zip(kinds, value, strict=True))


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _is_mapping(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _digits(number: float) -> str:
    return str(int(number)) if math.isfinite(number) and number == int(number) else f"{number:g}"
