"""Training methods, one file each, discovered by walking this package."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from skedastic.errors import unknown
from skedastic.methods.base import Method


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


class Preset(NamedTuple):
    """What a user may ask for: a method's class, with the settings that the name stands for."""

    cls: type[Method]
    settings: Mapping[str, Any]
    family: str
    title: str
    paper: str
    equations: str

    def make(self) -> Method:
        """Return the method."""
        return self.cls(**self.settings)


@cache
def presets() -> Mapping[str, Preset]:
    """Return every name that a user may ask for: those on the cards, and the published ones of `methods/published.py`."""
    classes = discover()
    own = {n: Preset(cls, {}, cls.card.family, *_told(cls)) for n, cls in classes.items()}
    published = import_module(f"{__name__}.published").NAMED
    more = {name: Preset(classes[method], *rest) for name, (method, *rest) in published.items()}
    return dict(sorted({**own, **more}.items()))


def find_preset(name: str) -> Preset:
    """Return a preset; raises UserError with the nearest name where there is none."""
    try:
        return presets()[name]
    except KeyError:
        raise unknown("method", name, presets()) from None


def _told(cls: type[Method]) -> tuple[str, str, str]:
    return cls.card.title, cls.card.paper, cls.card.equations
