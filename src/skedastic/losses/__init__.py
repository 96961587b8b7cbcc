"""Per-example losses, one file each: a pure function of shapes, and a small frozen dataclass with its parameters."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class PerExampleLoss(Protocol):
    """A loss that is not yet averaged. supports: "classification" (outputs are logits), "regression", or both."""

    supports: ClassVar[frozenset[str]]

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses [B] of network outputs ([B, C] logits or [B]) against targets y."""
        ...


@cache
def discover() -> Mapping[str, type[PerExampleLoss]]:
    """Return every loss of this package by its file's name, such as "cross-entropy"."""
    found: dict[str, type[Any]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if cls.__module__ == module.name:
                found[module.name.rpartition(".")[2].replace("_", "-")] = cls
    return found
