"""Discovery of modules by walking their package: a new loss, method or model needs nothing but its file."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def modules_of(package: str) -> Iterator[ModuleType]:
    """Yield the modules of a package, without sub-packages, in the order of their names; each is imported."""
    for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
        if not module.ispkg:
            yield import_module(module.name)


def file_name(module: ModuleType) -> str:
    """Return the name that users write for the class of a module, such as "cross-entropy"."""
    return module.__name__.rpartition(".")[2].replace("_", "-")


def classes_of(package: str, base: type[T]) -> Iterator[tuple[ModuleType, type[T]]]:
    """Yield the concrete classes of a base that a package's modules define, each with its module."""
    for module in modules_of(package):
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ == module.__name__ and issubclass(cls, base) and not inspect.isabstract(cls):
                yield module, cls
