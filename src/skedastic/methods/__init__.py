"""Training methods, one file each, discovered by walking this package. Importing the package imports no method."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from skedastic.runtime.discovery import classes_of

if TYPE_CHECKING:
    from skedastic.methods.bases.method import Method


@cache
def discover() -> Mapping[str, type[Method]]:
    """Return every method class of this package that has a card of its own, by the name on it."""
    from skedastic.methods.bases.method import Method

    classes = (cls for _, cls in classes_of(__name__, Method))  # type: ignore[type-abstract]
    named = {cls.card.name: cls for cls in classes if "card" in vars(cls) and not cls.__name__.startswith("_")}
    return dict(sorted(named.items()))
