"""From plain data, such as TOML gives, to a dataclass: every key known, every value of its field's type.

A misspelled key gets the nearest right one, a value of the wrong type says what was expected: nothing is swallowed.
"""

from __future__ import annotations

import dataclasses
import numbers
import tomllib
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from skedastic import losses
from skedastic.errors import UserError, unknown
from skedastic.losses import PerExampleLoss


def build(cls: type[Any], data: Mapping[str, Any], where: str) -> Any:
    """Return the dataclass `cls` made of `data`; `where` is the dotted place of `data` in the configuration."""
    hints = get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls) if f.init]
    arguments = {}
    for key, value in data.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            raise unknown("setting", place, [f"{where}.{k}" if where else k for k in known])
        arguments[key] = convert(hints[key], value, place)
    return cls(**arguments)


def convert(hint: Any, value: Any, place: str) -> Any:
    """Return `value` as the type `hint`, or raise UserError saying what `place` takes."""
    origin, inner = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return build(hint, value, place)
    if origin in (Union, types.UnionType):
        if value is None or (isinstance(value, str) and value == "none" and str not in inner):
            return None
        words = [w for t in inner if get_origin(t) is Literal for w in get_args(t)]
        if value in words:
            return value
        kind = next(t for t in inner if t is not type(None) and get_origin(t) is not Literal)
        try:
            return convert(kind, value, place)
        except UserError as error:
            raise UserError(f"{error}, or {' or '.join(words)}") if words else error from None
    if hint is PerExampleLoss and isinstance(value, (str, Mapping)):
        settings = {"name": value} if isinstance(value, str) else dict(value)
        name = settings.pop("name", None)
        if name is None:
            raise UserError(f"{place}: which loss? name it too, with {place}.name={_first_loss_with(settings)}")
        if name not in losses.discover():
            raise unknown("loss", str(name), losses.discover())
        return build(losses.discover()[name], settings, place)
    if origin is Literal:
        return value  # the dataclass itself checks its choices, and suggests
    if origin is tuple:
        if isinstance(value, str):
            value = [v.strip() if inner[0] is str else parse(v.strip()) for v in value.split(",")]
        values = value if isinstance(value, Sequence) else [value]
        return tuple(convert(inner[0], v, place) for v in values)
    for kind, number in ((int, numbers.Integral), (float, numbers.Real), (str, numbers.Real)):
        if hint is kind and isinstance(value, number) and not isinstance(value, bool):
            return kind(value)
    if isinstance(value, origin or hint) and not (hint in (int, float) and isinstance(value, bool)):
        return value
    if dataclasses.is_dataclass(hint) or (origin and issubclass(origin, Mapping)):
        raise UserError(
            f"{place}={_shown(value)}: must be a table; set one of its keys, such as {place}.{_first_key(hint)}"
        )
    names = {float: "a number", int: "a whole number", bool: "true or false", PerExampleLoss: "the name of a loss"}
    raise UserError(f"{place}={_shown(value)}: must be {names.get(hint, 'text')}")


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, (str, numbers.Number)) else f"a {type(value).__name__}"


def _first_loss_with(settings: Mapping[str, Any]) -> str:
    fits = (n for n, cls in losses.discover().items() if set(settings) <= {f.name for f in dataclasses.fields(cls)})  # type: ignore[arg-type]
    return next(fits, "huber")


def _first_key(hint: Any) -> str:
    return dataclasses.fields(hint)[0].name if dataclasses.is_dataclass(hint) else "name"


def whole_numbers(name: str, text: str) -> tuple[int, ...]:
    """Return the whole numbers ≥ 1 of a text such as "3,32,32". Raises UserError that names `name`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise UserError(f"{name} {text!r}: must be whole numbers, 1 or more, such as 3,32,32")
    return tuple(map(int, parts))


def parse(text: str) -> Any:
    """Return what TOML makes of `text`; bare words need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
