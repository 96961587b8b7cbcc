"""What training knew of its source, which a test source, and rows to predict from, must match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from skedastic.data.tables.columns import COLUMN_KINDS, ColumnKind
from skedastic.data.targets.regression import Bins
from skedastic.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Schema:
    """classes: none where targets are real. groups: their names. target: what the user calls y.

    kinds: of the feature columns of a table; none where the features are images. day_first: of each column of dates, how 3/4
    is read. images: (C, H, W). integers: their pixels are in 0..255. resized: images of another size are. bins: of the target,
    where these are the groups. quantiles: of the column that the groups are made of.
    """

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    target: str = "y"
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    day_first: Mapping[str, bool] = field(default_factory=dict)
    images: tuple[int, ...] = ()
    integers: bool = False
    resized: bool = False
    bins: Bins | None = None
    quantiles: Bins | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Schema:
        """Return what `to_json` described. Raises UserError where it is damaged."""
        kinds: dict[str, ColumnKind] = {name: kind for name, kind in state["kinds"].items() if kind in COLUMN_KINDS}
        if len(kinds) != len(state["kinds"]):
            raise UserError("the saved columns are of kinds that are not known here; fit the model again")
        bins, quantiles = (
            None if b is None else Bins(tuple(b["edges"]), tuple(b["widths"]), tuple(b["names"]))
            for b in (state["bins"], state["quantiles"])
        )
        return Schema(
            classes=tuple(state["classes"]),
            groups=tuple(state["groups"]),
            target=str(state["target"]),
            kinds=kinds,
            day_first=dict(state["day_first"]),
            images=tuple(state["images"]),
            integers=bool(state["integers"]),
            resized=bool(state["resized"]),
            bins=bins,
            quantiles=quantiles,
        )
