"""The method that is taken where none is named, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from skedastic import models
from skedastic.core.criteria import CRITERIA, Accuracy, Criterion
from skedastic.core.criteria_of_numbers import CRITERIA_OF_NUMBERS
from skedastic.errors import UserError
from skedastic.methods.auto import Auto, Effort
from skedastic.methods.bases.method import Method
from skedastic.methods.trees import MOST_ENTRIES, MOST_OF_NUMBERS, are_quick, can_read_trees, places_read
from skedastic.pipeline.prepare import Data
from skedastic.settings.config import Config
from skedastic.settings.convert import convert
from skedastic.settings.methods import (
    EFFORT,
    OPTIMIZE,
    make_method,
    settings_of,
    the_criterion,
    with_settings_alone,
    without_setting,
)
from skedastic.settings.model_choice import NamedModel

NETWORK_OF_NUMBERS: Mapping[Effort, str] = {"low": "erm", "normal": "har", "high": "ensemble(base=har)"}  # of stack
UNNAMED = {
    "auto": "no method is named, so several ways of training are tried, as far as rows and time allow",
    "stack": "no method is named, so trees and linear models are tried beside the network, as far as rows and time "
    "allow",
}  # why one is taken that tries others
ALONE = "--method har trains the network alone"


@dataclass(frozen=True)
class Taken:
    """The method of a fit.

    Parameters
    ----------
    method : Method
        The method.
    said : str
        Which it is and why, in a sentence, where it was not named; else empty.
    """

    method: Method
    said: str = ""


def taken_method(config: Config, data: Data, named: Method | None) -> Taken:
    """Return the method of a fit, and why it is that.

    Parameters
    ----------
    config : Config
        The settings, settled.
    data : Data
        The rows.
    named : Method or None
        The method as `settings.methods.the_method` returns it.

    Raises
    ------
    UserError
        A setting is not for the method, or a criterion for the other task.
    """
    if named is None:
        return usual_method(config, data)
    if isinstance(named, Auto):
        if not data.train.classes:
            expression = of_numbers(named, data)
            return Taken(make_method(expression, {}), f"stack: where targets are numbers, auto is {expression}")
        _check_criterion(named.optimize, data)
    if not config.method or "name" in config.method:
        return Taken(named)
    key = "strength" if "strength" in config.method else min(config.method.keys() - settings_of("auto"))
    return Taken(named, f"har: method.{key} is its setting, so nothing else is tried")


def usual_method(config: Config, data: Data) -> Taken:
    """Return the method where none is named: auto of classes, stack of numbers, har where a network is trained alone.

    Settings that were given alone go to auto, stack, blend or har. The name of a model says which network is trained,
    and not that nothing else is tried. Raises UserError for a setting that the method has not, and a criterion that is
    for the other task.
    """
    given, task, alone, criterion = (
        config.method,
        data.train.target.task,
        _why_alone(config, data),
        the_criterion(config),
    )
    _check_criterion(criterion, data)
    blended = {name: value for name, value in given.items() if name in settings_of("blend")}
    if blended and (alone or task == "classification"):
        raise without_setting(*(("har", blended, "here") if alone else ("auto", blended, "for classes")), task)
    if alone:
        return _network_alone(config, data, alone)
    if task == "classification":
        return Taken(with_settings_alone("auto", config), f"auto: {UNNAMED['auto']}; {ALONE}")
    if blended:
        name = "blend" if "share" in blended else "stack"
        said = f"{name}: method.{next(iter(blended))} is its setting; {ALONE}"
        return Taken(make_method(name, {"base": "har", **blended}), said)
    if not convert(bool, given.get("trees", True), "method.trees"):
        return _network_alone(config, data, "method.trees is false")
    if other := given.keys() - {"trees", EFFORT, OPTIMIZE}:
        return _network_alone(config, data, f"stack has no setting {min(other)}")
    effort = convert(Effort, given.get(EFFORT, "normal"), f"method.{EFFORT}")
    return Taken(make_method(_stack(effort, criterion), {}), f"stack: {UNNAMED['stack']}; {ALONE}")


def _why_alone(config: Config, data: Data) -> str:
    """Return why nothing is tried beside a network, whatever the settings of methods; nothing where other ways are."""
    model, rows, inputs = config.model, data.train, data.encoder.inputs
    if not isinstance(model, NamedModel):
        return "the network is your own"
    if not models.is_small(model.name, inputs, model.options):
        return f"{model.name} is not known to train in seconds"
    if rows.classes:
        return ""
    entries = len(places_read(math.prod(rows.x.shape[1:]), rows.words))
    reasons = {
        "examples are images or tokens": not rows.has_columns,
        f"a row has more than {MOST_ENTRIES} numbers": len(inputs.numbers) > MOST_ENTRIES,
        "trees take long on so many entries": not are_quick(entries, len(rows), MOST_OF_NUMBERS),
        "the trees of this scikit-learn can't be read": not can_read_trees(),
    }  # why trees are not beside it
    return next((why for why, holds in reasons.items() if holds), "")


def _network_alone(config: Config, data: Data, why: str) -> Taken:
    """Return har, with the settings that were given, and why nothing else is tried.

    Raises UserError for settings of what is tried beside a network.
    """
    rule = f"here a network is trained alone, since {why}; leave it out"
    if EFFORT in config.method:
        raise UserError(f"it is how much is tried, and {rule}", setting=f"method.{EFFORT}", value=config.method[EFFORT])
    if convert(bool, config.method.get("trees", False), "method.trees"):
        raise UserError(rule, setting="method.trees", value=config.method["trees"])
    own = replace(config, method={name: value for name, value in config.method.items() if name != "trees"})
    other = "auto" if data.train.classes else "stack" if data.train.has_columns else ""
    way_out = f"; --method {other} tries others" if other and not own.method else ""
    return Taken(with_settings_alone("har", own), f"har: {why}, so nothing else is tried{way_out}")


def of_numbers(auto: Auto, data: Data) -> str:
    """Return the expression of the method that auto is where targets are numbers.

    Raises UserError where it has settings or a criterion that are for classes.
    """
    criterion = None if auto.optimize == Auto().optimize else auto.optimize
    _check_criterion(criterion, data)
    usual = Auto(effort=auto.effort, optimize=auto.optimize)
    given = next((f.name for f in fields(auto) if getattr(auto, f.name) != getattr(usual, f.name)), None)
    if given is not None:
        rule = f"it is a setting of auto for classes, and of numbers auto is {_stack(auto.effort, None)}; leave it out"
        raise UserError(rule, setting=f"method.{given}", value=getattr(auto, given))
    return _stack(auto.effort, criterion)


def _stack(effort: Effort, criterion: Criterion | None) -> str:
    """Return the expression of what auto is where targets are numbers."""
    named = "" if criterion is None else f", {OPTIMIZE}={criterion.shown_name()}"
    return f"stack(base={NETWORK_OF_NUMBERS[effort]}{named})"


def _check_criterion(criterion: Criterion | None, data: Data) -> None:
    """Raise UserError where a criterion is for the other task."""
    classes = data.train.target.task == "classification"
    if criterion is None or criterion.of_numbers != classes:
        return
    if isinstance(criterion, Accuracy) and criterion.prior:
        rule = "it says how frequent classes are, and the targets are numbers (regression); leave it out"
        raise UserError(rule, setting=f"method.{OPTIMIZE}.prior", value=criterion.prior, given="--prior")
    here, other = ("targets are classes", "numbers") if classes else ("targets are numbers (regression)", "classes")
    names = list(CRITERIA if classes else CRITERIA_OF_NUMBERS)
    rule = f"it is a criterion for {other}, and the {here}; take {', '.join(names[:-1])} or {names[-1]}"
    raise UserError(rule, setting=f"method.{OPTIMIZE}", value=criterion.shown_name())


def with_methods_of_task(config: Config, data: Data) -> Config:
    """Return the configuration of a comparison, with stack in place of auto where targets are numbers."""
    if data.train.classes:
        return config
    methods = [
        of_numbers(method, data) if isinstance(method := make_method(name, {}), Auto) else name
        for name in config.methods
    ]
    return replace(config, methods=tuple(methods))
