"""Per-example losses, one file each: a pure function of shapes, and a small frozen dataclass with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from skedastic.losses.base import PerExampleLoss
from skedastic.runtime.discovery import classes_of, file_name

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
    classes = classes_of(__name__, PerExampleLoss)  # type: ignore[type-abstract]
    return {file_name(module): cls for module, cls in classes}
