"""Names of classes in settings: they stand for values, as cells do, so that 1.0 names the class 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skedastic.data.tables.values import canonical
from skedastic.errors import UserError


def by_class(values: Mapping[Any, Any], place: str) -> dict[str, Any]:
    """Return values, and those within them, under the names that classes have.

    Parameters
    ----------
    values : mapping
        By the class as the user wrote it.
    place : str
        The setting, for errors.

    Raises
    ------
    UserError
        A class stands twice, also where it is written in two ways.
    """
    found = dict[str, Any]()
    for written, value in values.items():
        name = canonical(str(written).strip())
        if name in found:
            raise UserError(f"class {name!r} stands twice; give it once", setting=place, value=written)
        found[name] = by_class(value, f"{place}.{written}") if isinstance(value, Mapping) else value
    return found
