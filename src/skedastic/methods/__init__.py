"""Training methods, one file each, discovered by walking this package."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from skedastic.methods.bases.method import Method


@cache
def discover() -> Mapping[str, type[Method]]:
    """Return every method class of this package by the name on its card."""
    found: dict[str, type[Method]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for _, cls in inspect.getmembers(import_module(module.name), inspect.isclass):
            if cls.__module__ != module.name or cls.__name__.startswith("_") or not issubclass(cls, Method):
                continue
            if "card" in vars(cls) and not inspect.isabstract(cls):
                found[cls.card.name] = cls
    return dict(sorted(found.items()))
