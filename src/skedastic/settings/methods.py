"""From the configuration to methods, and from methods to their tables in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from skedastic.core.criteria import Criterion
from skedastic.errors import UserError, unknown
from skedastic.methods.bases.method import Method
from skedastic.methods.presets import find_preset
from skedastic.settings.config import Config
from skedastic.settings.convert import build_method, convert
from skedastic.settings.expression import name_and_settings
from skedastic.settings.registry import family_of

OPTIMIZE = "optimize"  # the setting of auto


def make_method(name: str, settings: Mapping[str, Any]) -> Method:
    """Return the method of a preset's name, with further settings on top.

    Parameters
    ----------
    name : str
        The name, such as "gce" or "absgd(lam=5)".
    settings : mapping of str to object
        Further settings by name.

    Raises
    ------
    UserError
        The name is unknown, a setting is given twice or is unknown, or its value does not fit.
    """
    return build_method(name, settings, "method")


def the_method(config: Config) -> Method | None:
    """Return the method that the configuration names; None where it names none, and data and model decide.

    Settings without a name are for whichever that is, if auto has all of them; a strength, and settings that auto has
    not, are for har.

    Raises
    ------
    UserError
        The name is unknown, or a setting is, or its value does not fit.
    """
    settings = _settings(config.method)
    if "name" in config.method:
        _check_chooses(config.method["name"], settings)
        return make_method(config.method["name"], settings)
    if "strength" in settings:
        _check_chooses("har", settings)
    if "strength" in settings or not settings.keys() <= {f.name for f in dataclasses.fields(find_preset("auto").cls)}:
        return make_method("har", settings)
    make_method("auto", settings)  # refuses what does not fit
    return None


def the_criterion(config: Config) -> Criterion | None:
    """Return the criterion that the configuration names for auto, or None."""
    if OPTIMIZE not in config.method:
        return None
    criterion: Criterion = convert(Criterion, config.method[OPTIMIZE], f"method.{OPTIMIZE}")
    return criterion


def _check_chooses(name: str, settings: Mapping[str, Any]) -> None:
    """Raise UserError where a criterion is given for a method that chooses nothing."""
    if OPTIMIZE in settings and not hasattr(find_preset(name_and_settings(name, "method")[0]).cls, OPTIMIZE):
        rule = f"it is the criterion by which auto chooses, and the method is {name}; leave one of the two out"
        raise UserError(rule, setting=f"method.{OPTIMIZE}", value=settings[OPTIMIZE])


def with_settings_alone(name: str, config: Config) -> Method:
    """Return a method that nobody named, with the settings that were given alone.

    Parameters
    ----------
    name : str
        The name of the usual method for the data and the model.
    config : Config
        The settings of the run.

    Raises
    ------
    UserError
        A setting is not for this method.
    """
    _check_chooses(name, config.method)
    return make_method(name, config.method)


def method_table(method: Method, name: str | None = None) -> dict[str, Any]:
    """Return the `[method]` table of `method` with all of its settings, under the name of its card or a preset."""
    table = settings_table({f.name: getattr(method, f.name) for f in dataclasses.fields(method)})
    return {"name": name_and_settings(name, "method")[0] if name else method.card.name} | table


def settings_table(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a configuration writes them: losses, samplers and methods by name, with their settings."""
    return {name: "none" if value is None else _named(value) for name, value in settings.items()}


def compared_methods(config: Config) -> dict[str, Method]:
    """Return the methods of a comparison by name. A setting in `[method]` goes to every method that has it.

    The settings that a preset's name stands for are not overridden: har-auto keeps its own strength.

    Parameters
    ----------
    config : Config
        The settings of the comparison.

    Raises
    ------
    UserError
        A method is unknown, no method has a setting of `[method]`, or a value does not fit.
    """
    settings = _settings(config.method)
    fields, own = {}, {}
    for name in config.methods:
        base, given = name_and_settings(name, "methods")
        preset = find_preset(base)
        fields[name] = {f.name for f in dataclasses.fields(preset.cls)}
        own[name] = {*given, *preset.settings}
    for key in settings:
        if not any(key in known for known in fields.values()):
            raise unknown(f"setting of {', '.join(config.methods)}", key, sorted(set().union(*fields.values())))
    return {
        name: make_method(name, {k: v for k, v in settings.items() if k in fields[name] and k not in own[name]})
        for name in config.methods
    }


def _named(value: Any) -> Any:
    """Return a setting as a configuration writes it: a name, a table with its settings, or a function's name."""
    family = family_of(type(value))
    if family is None:
        return getattr(value, "__qualname__", type(value).__name__) if callable(value) else value
    if isinstance(value, Method):
        return method_table(value)
    name = family.name_of(value)
    settings = {f.name: _named(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return {"name": name, **settings} if settings else name


def _settings(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "name"}
