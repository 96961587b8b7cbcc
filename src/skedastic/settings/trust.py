"""Code that a run names: it is run only where the user names it too, or trusts the run.

A model's name may be "file.py:function" or "module:function", whose code is run. Where the name is typed, in a command,
in Python or in a configuration of the user's own, that is what was asked for. A run folder may come from anyone.
Neither torch nor a model's module is imported.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from skedastic.errors import UserError

OF_PACKAGES = ("hf", "timm")  # prefixes of models that installed packages make, and no code beside them
OWN = "file"  # the prefix of others, which may be left out


def code_named(name: str) -> str:
    """Return in words what code a model's name stands for; "" where it is a model of ours or of a package.

    Parameters
    ----------
    name : str
        The name of a model, as `models.make` takes it.
    """
    prefix, colon, rest = name.partition(":")
    if not colon or prefix in OF_PACKAGES:
        return ""
    where, _, function = (rest if prefix == OWN else name).rpartition(":")
    place = f"file {str(Path(where).absolute())!r}" if where.endswith(".py") else f"module {where!r}"
    return f"the function {function!r} of the {place}"


def option_naming(model: str) -> str:
    """Return the option that names a run's model again, with a space before it; "" where it is no code.

    Parameters
    ----------
    model : str
        The name of the model.
    """
    return f" --model {shlex.quote(model)}" if code_named(model) else ""


def check_trusted(name: str, *, typed: str | None = None, trusted: bool = False, ways: str = "") -> None:
    """Raise UserError where a run's model is code that the user neither named nor trusts.

    Parameters
    ----------
    name : str
        The name of the model in the run.
    typed : str, optional
        The name of a model that the user gave.
    trusted : bool, optional
        Whether the user trusts the run.
    ways : str, optional
        How the user can do either, for the message.
    """
    if typed is not None and typed != name:
        way = f"name that: --model {shlex.quote(name)}" if code_named(name) else "leave it out"
        rule = f"the run was trained with the model {name!r}; {way}"
        raise UserError(rule, setting="model", value=typed)
    code = code_named(name)
    if code and not trusted and typed is None:
        rule = f"this would run {code}, which the run names and you did not; look at it, then {ways or WAYS_IN_PYTHON}"
        raise UserError(rule, setting="config.toml, model.name", value=name)


WAYS_IN_PYTHON = "name it too, as model=…, or take trust=True"
