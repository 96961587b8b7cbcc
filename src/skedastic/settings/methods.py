"""From the configuration to methods, and from methods to their tables in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from skedastic.core.criteria import Criterion
from skedastic.errors import UserError, suggestion, unknown
from skedastic.methods import discover
from skedastic.methods.bases.method import Method
from skedastic.methods.presets import find_preset
from skedastic.settings.config import Config
from skedastic.settings.convert import build_method, convert
from skedastic.settings.expression import name_and_settings
from skedastic.settings.registry import family_of

OPTIMIZE, EFFORT = "optimize", "effort"  # settings of auto
OF_CHOICE = {
    OPTIMIZE: "it is the criterion by which auto chooses",
    EFFORT: "it is how much auto tries",
}  # settings of auto that have an option of their own
USUAL = ("auto", "har", "blend")  # one of which is taken where no method is named
MOST_NAMED = 3  # methods that an error names as having a setting


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

    Settings without a name are for whichever that is, if auto or blend has all of them; a strength, and settings that
    neither has, are for har.

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
        _check_chooses("har", settings, "a strength is har's")
    fitting = [name for name in USUAL if settings.keys() <= settings_of(name)]
    if not fitting and EFFORT in settings:
        other = next(key for key in settings if key not in settings_of("auto"))
        rule = f"{OF_CHOICE[EFFORT]}, and auto has no setting {other}; leave one of the two out"
        raise UserError(rule, setting=f"method.{EFFORT}", value=settings[EFFORT])
    if not fitting:
        raise _of_none(settings)
    if "strength" in settings or fitting[0] == "har":
        return make_method("har", settings)
    make_method(fitting[0], settings)  # refuses what does not fit
    return None


def settings_of(name: str) -> set[str]:
    """Return the names of the settings of a method."""
    return {field.name for field in dataclasses.fields(find_preset(name).cls)}


def without_setting(name: str, settings: Mapping[str, Any], why: str, task: str) -> UserError:
    """Return the error about settings that a method has not which was taken since none was named.

    Parameters
    ----------
    name : str
        The method.
    settings : mapping of str to object
        The settings, of which it lacks one at least.
    why : str
        The case in which it is taken, such as "for classes".
    task : str
        The task, for which other methods are named that have the setting.
    """
    key = next(key for key in settings if key not in settings_of(name))
    rule = f"no method is named, so it is {name} {why}, which has {', '.join(sorted(settings_of(name)))}"
    return UserError(f"{rule}; {_way_out(key, task)}", setting=f"method.{key}", value=settings[key])


def _of_none(settings: Mapping[str, Any]) -> UserError:
    """Return the error about settings that no method has which is taken where none is named."""
    known = {name: settings_of(name) for name in USUAL}
    key = next((key for key in settings if not any(key in own for own in known.values())), None)
    key = key or next(key for key in settings if key not in known["har"])
    union = set().union(*known.values())
    near = "" if key in union else suggestion(key, union).removeprefix("; ")
    auto, blend = (", ".join(sorted(known[name])) for name in ("auto", "blend"))
    rule = f"{near}{' ' * bool(near)}no method is named, so it is auto of classes ({auto}), stack or blend of numbers "
    rule += f"({blend}), or har (skedastic methods har)"
    given = f"unknown setting 'method.{key}'"
    return UserError(f"{rule}; {_way_out(key)}", setting="setting", value=f"method.{key}", given=given)


def _way_out(key: str, task: str | None = None) -> str:
    """Return which methods to name that have a setting, and can be used with the task where it is known."""
    having = [
        name
        for name, cls in discover().items()
        if key in settings_of(name) and (task is None or task in cls.card.capabilities.tasks)
    ]
    if not having:
        return "leave it out, or name a method with --method NAME"
    shown = f"{', '.join(having[:MOST_NAMED])}{', …' * (len(having) > MOST_NAMED)}"
    return f"name a method that has it with --method NAME: {shown}"


def the_criterion(config: Config) -> Criterion | None:
    """Return the criterion that the configuration names for auto, or None."""
    if OPTIMIZE not in config.method:
        return None
    criterion: Criterion = convert(Criterion, config.method[OPTIMIZE], f"method.{OPTIMIZE}")
    return criterion


def _check_chooses(name: str, settings: Mapping[str, Any], why: str = "") -> None:
    """Raise UserError where a setting of the choice is given for a method that chooses nothing, with why it is that."""
    for key, what in OF_CHOICE.items():
        if key in settings and not hasattr(find_preset(name_and_settings(name, "method")[0]).cls, key):
            rule = f"{what}, and {why or f'the method is {name}'}; leave {'it' if why else 'one of the two'} out"
            raise UserError(rule, setting=f"method.{key}", value=settings[key])


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
    _check_chooses(name, config.method, f"no method is named, so it is {name} for this model and these data")
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
