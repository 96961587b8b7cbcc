"""Per-example losses, one file each: a pure function of shapes, and a small frozen dataclass with its parameters."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache

from skedastic.losses.base import PerExampleLoss

__all__ = ["PerExampleLoss", "discover"]


def __getattr__(name: str) -> type[PerExampleLoss]:
    """Give the losses by their class's name too: `from skedastic.losses import LDAM`."""
    if not name.startswith("_"):
        for cls in discover().values():
            if cls.__name__ == name:
                return cls
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def discover() -> Mapping[str, type[PerExampleLoss]]:
    """Return every loss of this package by its file's name, such as "cross-entropy"."""
    found = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if cls.__module__ == module.name and issubclass(cls, PerExampleLoss) and not inspect.isabstract(cls):
                found[module.name.rpartition(".")[2].replace("_", "-")] = cls
    return found
