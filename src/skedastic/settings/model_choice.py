"""Which network is trained: one by its name with options, or the user's own.

A configuration writes a table, `[model]` with `name = "mlp"` and the options beside it, or the name alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from skedastic.configurable import Written
from skedastic.configurable.kinds import plain as plain_value
from skedastic.errors import UserError

OWN = "own"


class ModelChoice(Written):
    """Which network is trained: `NamedModel` or `OwnModel`."""

    name: str  # as reports show it

    @classmethod
    def read(cls, plain: Any, place: str) -> Any:
        """Return the model of a name, or of a table with a name. Raises UserError for anything else."""
        table = {"name": plain} if isinstance(plain, str) else plain
        if not isinstance(table, Mapping):
            raise UserError("must be a table; set one of its keys, such as model.name", setting=place, value=plain)
        name = table.get("name", "auto")
        if not isinstance(name, str):
            raise UserError("must be text, the name of a model", setting=f"{place}.name", value=name)
        if name == OWN:
            return OwnModel()
        return NamedModel(name, {k: plain_value(v) for k, v in table.items() if k != "name"})


@dataclass(frozen=True)
class NamedModel(ModelChoice):
    """A model by its name.

    Parameters
    ----------
    name : str
        The name, such as "auto", "mlp", "timm:resnet18" or "nets.py:make".
    options : mapping
        The options of the model, such as {"width": 64}.
    """

    name: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)

    def written(self) -> dict[str, Any]:
        """Return the table `[model]`."""
        return {"name": self.name, **self.options}


@dataclass(frozen=True)
class OwnModel(ModelChoice):
    """A network that the user makes in Python; a configuration has no name for it."""

    name: ClassVar[str] = OWN  # type: ignore[misc]

    def written(self) -> dict[str, Any]:
        """Return the table `[model]`."""
        return {"name": OWN}
