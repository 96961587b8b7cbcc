"""The schema of a training source, which a test source, and rows to predict from, must match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skedastic.data.pixels import Decoding
from skedastic.data.tables.columns import COLUMN_KINDS, ColumnKind
from skedastic.data.tables.reading import Reading
from skedastic.data.targets.grouping import Grouping, grouping_from_json
from skedastic.data.targets.target import Target, target_from_json
from skedastic.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The schema of a training source.

    Parameters
    ----------
    target : Target
        The target, in no units yet.
    grouping : Grouping
        The groups.
    kinds : mapping of str to ColumnKind
        The kind of each feature column of a table; empty where the features are images.
    reading : Reading
        How the cells of these columns are read.
    images : tuple of int
        (C, H, W) of each image; empty for a table.
    integers : bool
        Whether pixels are integers in 0..255.
    resized : bool
        Whether images of another size are resized.
    level : float
    alpha : bool
        How images become pixels, as in `Decoding`.
    """

    target: Target
    grouping: Grouping
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    images: tuple[int, ...] = ()
    integers: bool = False
    resized: bool = False
    level: float = 0.0
    alpha: bool = False

    @property
    def decoding(self) -> Decoding:
        """How images become pixels."""
        return Decoding(1 if self.images[0] == 1 else 3, self.level, self.alpha)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "target": self.target.to_json(),
            "grouping": self.grouping.to_json(),
            "kinds": dict(self.kinds),
            "reading": self.reading.to_json(),
            "images": list(self.images),
            "integers": self.integers,
            "resized": self.resized,
            "level": self.level,
            "alpha": self.alpha,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Schema:
        """Return the schema that `to_json` described.

        Parameters
        ----------
        state : mapping
            The plain JSON values.

        Raises
        ------
        UserError
            A column is of a kind that is not known here.
        """
        kinds: dict[str, ColumnKind] = {name: kind for name, kind in state["kinds"].items() if kind in COLUMN_KINDS}
        if len(kinds) != len(state["kinds"]):
            unknown = next(kind for kind in state["kinds"].values() if kind not in COLUMN_KINDS)
            rule = f"they are of the kind {unknown!r}, which is not known here; fit the model again"
            raise UserError(rule, setting="the saved columns", value=unknown, given="the saved columns")
        return Schema(
            target=target_from_json(state["target"]),
            grouping=grouping_from_json(state["grouping"]),
            kinds=kinds,
            reading=Reading.from_json(state["reading"]),
            images=tuple(state["images"]),
            integers=bool(state["integers"]),
            resized=bool(state["resized"]),
            level=float(state.get("level", 0.0)),
            alpha=bool(state.get("alpha", False)),
        )
