"""The error of a model that can't be used."""

from __future__ import annotations

from skedastic.errors import UserError


def refused(name: str, rule: str, so: str = "") -> UserError:
    """Return the error that says why the model `name` can't be used, or what it can't do, such as "can't be loaded"."""
    return UserError(rule, setting="model", value=name, given=f"model {name}{so and ' '}{so}")
