"""From plain data, such as TOML gives, to a dataclass: every key known, every value of its field's type.

The error for a misspelled key suggests the nearest right one, and the error for a value of the wrong type says the
right type: nothing is swallowed. Fields that hold a loss, class weights, a sampler, a head or a method are given by
their names, with settings: `FAMILIES`.
"""

from __future__ import annotations

import dataclasses
import numbers
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from skedastic.configurable import Configurable, Written
from skedastic.configurable.kinds import choices, expected, may_be_none
from skedastic.core.criteria import Cost, Criterion
from skedastic.errors import UserError, unknown
from skedastic.methods.bases.method import Method
from skedastic.methods.presets import find_preset
from skedastic.settings.class_names import by_class
from skedastic.settings.costs import COST_FILE, costs_of_file
from skedastic.settings.expression import name_and_settings, parse_expression, split
from skedastic.settings.layers import parse, unknown_setting
from skedastic.settings.registry import Family, family_of


class _WrongType(UserError):
    """A value is of another type than the setting."""


def build(cls: type[Any], data: Mapping[str, Any], where: str) -> Any:
    """Return a dataclass made of plain data.

    Parameters
    ----------
    cls : type
        The dataclass.
    data : mapping
        The values of its fields, in the form that TOML gives them.
    where : str
        The dotted place of `data` in the configuration, such as "train"; empty for the whole.

    Raises
    ------
    UserError
        A key is no field, or a value does not fit its field.
    """
    hints, fields = get_type_hints(cls), {f.name: f for f in dataclasses.fields(cls) if f.init}
    arguments = {}
    for key, value in data.items():
        place = f"{where}.{key}" if where else key
        if key not in fields:
            raise unknown_setting(cls, place)
        try:
            arguments[key] = convert(hints[key], value, place)
        except _WrongType:
            if "setting" not in fields[key].metadata:
                raise
            arguments[key] = value  # the class refuses it, and its error has the setting's meaning
    try:
        return cls(**arguments)
    except UserError as error:
        raise _placed(error, cls, where) from None


def _placed(error: UserError, cls: type[Any], where: str) -> UserError:
    """Return an error of a setting, with its place in the configuration instead of its class."""
    own = cls.place("") if issubclass(cls, Configurable) else ""
    if not where or not own or not error.setting.startswith(own):
        return error
    return error.of(f"{where}.{error.setting.removeprefix(own)}")


def convert(hint: Any, value: Any, place: str) -> Any:
    """Return `value` as the type `hint`. Raises UserError about the setting `place` where it does not fit."""
    origin, inner = get_origin(hint), get_args(hint)
    if getattr(value, "ndim", None) is not None and hasattr(value, "tolist"):
        value = value.tolist()  # an array, whose comparisons are arrays too
    if origin in (Union, types.UnionType):
        return _one_of(hint, value, place)
    if isinstance(hint, type) and issubclass(hint, Written):
        return value if isinstance(value, hint) else hint.read(value, place)
    family = family_of(hint)
    if family is not None and isinstance(value, (str, Mapping)):
        return _named(family, value, place)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return build(hint, value, place)
    if origin is Literal:
        return value  # the dataclass itself checks its choices, and suggests
    if origin is tuple:
        if isinstance(value, str):
            value = split(value) if inner[0] is str else [parse(v) for v in split(value)]
        values = value if isinstance(value, Sequence) else [value]
        return tuple(convert(inner[0], v, place) for v in values)
    for kind, number in ((int, numbers.Integral), (float, numbers.Real), (str, numbers.Real)):
        if hint is kind and isinstance(value, number) and not isinstance(value, bool):
            try:
                return kind(value)
            except (OverflowError, ValueError):  # more digits than a float has, or than Python writes
                break
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {key: v if inner[1] is Any else convert(inner[1], v, f"{place}.{key}") for key, v in value.items()}
    if isinstance(value, origin or hint) and not (hint in (int, float) and isinstance(value, bool)):
        return value
    if family is None and (dataclasses.is_dataclass(hint) or (origin and issubclass(origin, Mapping))):
        rule = f"must be a table; set one of its keys, such as {place}.{_first_key(hint)}"
        raise UserError(rule, setting=place, value=value)
    if family is not None:
        raise UserError(f"must be the name of a {family.kind}", setting=place, value=value)
    raise _WrongType(f"must be {expected(hint)}", setting=place, value=value)


def _one_of(hint: Any, value: Any, place: str) -> Any:
    """Return `value` as the first of several types that takes it."""
    if value is None or (value == "none" and may_be_none(hint)):
        return None
    if value in choices(hint):
        return value
    first: UserError | None = None
    for kind in get_args(hint):
        if kind is not type(None) and get_origin(kind) is not Literal:
            try:
                return convert(kind, value, place)
            except UserError as error:
                first = first or error
    if isinstance(first, _WrongType) and first.setting == place:
        raise _WrongType(f"must be {expected(hint)}", setting=place, value=value)
    if first is None:  # of words alone: the dataclass itself checks its choices, and suggests
        return value
    raise first from None


def _named(family: Family, value: Any, place: str) -> Any:
    """Return the loss, sampler or the like that a name, or a name with settings, stands for."""
    if family.base is Criterion and isinstance(value, str) and value.startswith(COST_FILE):
        value = {"name": Cost.shown_name(), "costs": costs_of_file(value.removeprefix(COST_FILE), place)}
    if isinstance(value, str) and "(" in value:
        value = parse_expression(value, place)
    settings = {"name": value} if isinstance(value, str) else dict(value)
    name = settings.pop("name", None)
    if name is None:
        example = _first_with(family, settings)
        rule = f"which {family.kind}? name it too, with {place}.name={example}"
        raise UserError(rule, setting=place, value=settings, given=place)
    if not isinstance(name, str):
        raise UserError(f"must be text, the name of a {family.kind}", setting=f"{place}.name", value=name)
    if name not in family.names():
        raise unknown(family.kind, str(name), family.names())
    if family.base is Method:
        return build_method(str(name), settings, place)
    if family.base is Criterion:
        settings = {k: by_class(v, f"{place}.{k}") if isinstance(v, Mapping) else v for k, v in settings.items()}
    cls = family.names()[name]
    if "" in settings:
        fields = [f.name for f in dataclasses.fields(cls)]
        if not fields or fields[0] in settings:
            rule = f"has {fields[0]} twice; leave one out" if fields else f"takes no settings; write {name} alone"
            raise UserError(rule, setting=place, value=settings[""], given=f"{place}={name}(…)")
        settings[fields[0]] = settings.pop("")
    return build(cls, settings, place)


def build_method(name: str, settings: Mapping[str, Any], place: str) -> Method:
    """Return the method of a preset's name, with settings on top of the preset's own.

    Parameters
    ----------
    name : str
        The name, which may have settings in brackets, as in "absgd(lam=5)".
    settings : mapping
        Further settings by name.
    place : str
        The place of the method in the configuration, such as "method".

    Raises
    ------
    UserError
        The name is unknown, a setting is given twice or is unknown, or its value does not fit.
    """
    name, own = name_and_settings(name, place)
    for key in settings:
        if key in own:
            rule = f"given twice, in {name}({key}=…) and beside it; leave one out"
            raise UserError(rule, setting=f"{place}.{key}", value=settings[key])
    if "" in (given := {**own, **settings}):
        rule = f"settings of a method have names, such as {name}(loss=focal)"
        raise UserError(rule, setting=place, value=given[""], given=f"{place}={name}(…)")
    preset = find_preset(name)
    method: Method = build(preset.cls, {**preset.settings, **given}, place)
    return method


def _first_with(family: Family, settings: Mapping[str, Any]) -> str:
    fits = (
        n for n, cls in family.names().items()
        if isinstance(cls, type) and set(settings) <= {f.name for f in dataclasses.fields(cls)}
    )  # fmt: skip
    return next(fits, next(iter(family.names())))


def _first_key(hint: Any) -> str:
    return dataclasses.fields(hint)[0].name if dataclasses.is_dataclass(hint) else "name"
