"""The options of a model: the settings of the section `[model]` that its network has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from skedastic.configurable import Configurable
from skedastic.errors import unknown


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Configurable):
    """The options of a model; a subclass has them as its fields."""

    section: ClassVar[str | None] = "model"


T = TypeVar("T", bound=ModelOptions)


def read_options(cls: type[T], name: str, options: Mapping[str, Any]) -> T:
    """Return the options of a model.

    Parameters
    ----------
    cls : type
        The class of the model's options.
    name : str
        The model's name, for messages.
    options : mapping
        The options that were given, by name.

    Raises
    ------
    UserError
        The model has no such option, or a value is not in its range.
    """
    known = [field.name for field in fields(cls)]
    for option in options:
        if option not in known:
            raise unknown(f"option of model {name!r}", option, known)
    return cls(**options)
