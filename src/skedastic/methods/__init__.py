"""Training methods, one file each, discovered by walking this package."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from skedastic.errors import unknown
from skedastic.methods.base import Method


@cache
def discover() -> Mapping[str, type[Method]]:
    """Return every method class of this package by the name on its card."""
    found = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(cls, Method) and not inspect.isabstract(cls) and cls.__module__ == module.name:
                found[cls.card.name] = cls
    return dict(sorted(found.items()))


@cache
def presets() -> Mapping[str, tuple[type[Method], Mapping[str, Any]]]:
    """Return every name that a user may ask for: the class and the settings that it stands for."""
    named: dict[str, tuple[type[Method], Mapping[str, Any]]] = {}
    for name, cls in discover().items():
        named[name] = (cls, {})
        named.update({preset: (cls, settings) for preset, settings in cls.card.presets.items()})
    return dict(sorted(named.items()))


def find_preset(name: str) -> tuple[type[Method], Mapping[str, Any]]:
    """Return the class and settings of a preset; raises UserError with the nearest name where there is none."""
    try:
        return presets()[name]
    except KeyError:
        raise unknown("method", name, presets()) from None
