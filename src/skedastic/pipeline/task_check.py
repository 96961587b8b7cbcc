"""Whether a method is for a task, and which of its settings are not."""

from __future__ import annotations

from dataclasses import fields, replace

from skedastic.errors import UserError
from skedastic.methods.bases.method import Method
from skedastic.settings.registry import family_of

ANOTHER = "leave it out, or take another method"
MOST_NAMED = 6  # losses and the like in an error
GOOD = {"classification": ("auto", "har", "erm", "trees"), "regression": ("stack", "har", "trees", "erm")}


def check_task(method: Method, task: str) -> None:
    """Raise UserError where a method, with its settings, is not for a task; it names the settings that are not."""
    if task in method.capabilities.tasks:
        return
    against = _against(method, task)
    if not against:
        good = ", ".join(GOOD[task])
        rule = f"{method.card.name} is not for {task}; take {good}, or another of `skedastic methods --task {task}`"
        raise UserError(rule, setting="method", value=method.card.name, given="")
    place, value, instead = against[0]
    also = "".join(f", nor is {other}" for other in (f"{p}={v}" for p, v, _ in against[1:]))
    rule = f"{method.card.name} with {place}={value} is not for {task}{also}; {instead or ANOTHER}"
    raise UserError(rule, setting=f"method.{place}", value=value, given="")


def _against(method: Method, task: str) -> list[tuple[str, str, str]]:
    """Return the settings that are not for the task: their place, their name, and what is instead."""
    if task not in method.card.capabilities.tasks:
        return []
    settings = []
    for field in fields(method):
        value, family = getattr(method, field.name), family_of(type(getattr(method, field.name)))
        if isinstance(value, Method):
            inner = [(f"{field.name}.{place}", name, able) for place, name, able in _against(value, task)]
            if task not in value.capabilities.tasks:
                settings += inner or [(field.name, value.card.name, "")]
        elif family is not None and hasattr(value, "supports") and task not in value.supports:
            able = [n for n, cls in family.names().items() if task in cls.supports]
            rest = ", … (`skedastic methods` lists all)" if len(able) > MOST_NAMED else ""
            instead = f"{family.many} that are: {', '.join(able[:MOST_NAMED])}{rest}"
            settings.append((field.name, family.name_of(value), instead))
        elif task == "regression" and field.name == "class_weights" and family is not None:
            settings.append((field.name, family.name_of(value), ""))
    return settings or _without(method, task)


def _without(method: Method, task: str) -> list[tuple[str, str, str]]:
    """Return the plain settings without any one of which the method would be for the task."""
    usual = type(method)()
    names = [f.name for f in fields(method) if getattr(method, f.name) != getattr(usual, f.name)]
    return [
        (n, str(getattr(method, n)), "")
        for n in names
        if task in replace(method, **{n: getattr(usual, n)}).capabilities.tasks
    ]
