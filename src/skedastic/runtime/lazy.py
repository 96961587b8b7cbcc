"""Names of a package that are imported when they are first used, so that importing the package costs nothing.

    if TYPE_CHECKING:
        from package.module import name as name

    __getattr__, __dir__ = lazy(__name__)

Each name is stated once, in the block that editors and mypy read.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package whose names are imported when they are first used.

    Parameters
    ----------
    package : str
        Its full name, `__name__` there.

    Returns
    -------
    tuple of callables
        The first raises AttributeError for a name that is neither in the block `if TYPE_CHECKING` nor a module of the
        package.
    """

    def get(name: str) -> Any:
        if name in homes(package):
            return getattr(import_module(homes(package)[name]), name)
        return submodule(package, name)

    return get, lambda: sorted({*vars(import_module(package)), *homes(package)})


@cache
def homes(package: str) -> Mapping[str, str]:
    """Return the module of each name that the block `if TYPE_CHECKING` of a package imports."""
    tree = ast.parse(Path(str(import_module(package).__file__)).read_text("utf-8"))
    blocks = (node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = (node for block in blocks for node in block if isinstance(node, ast.ImportFrom))
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def submodule(package: str, name: str) -> Any:
    """Return a module of a package by its name. Raises AttributeError where there is none."""
    try:
        return import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{package}.{name}":
            raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
