"""A source: a user's data, checked and whole, before it is split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL.Image import Image
from torch import Tensor

from skedastic.data.dataset import Dataset, Features, Truth
from skedastic.data.encoders.encoder import Encoder
from skedastic.data.encoders.images import ImageEncoder
from skedastic.data.encoders.rows import RowEncoder
from skedastic.data.images import picture
from skedastic.data.schema import Schema
from skedastic.data.settings import TextSettings
from skedastic.data.tables.roles import check_columns, described
from skedastic.data.tables.table import Columns, Table
from skedastic.data.targets.annotators import Votes
from skedastic.data.targets.regression import Bins, Scale
from skedastic.errors import UserError

MOST_SHOWN = 6  # columns in the description of a row
LONGEST_CELL = 300  # letters of a text in it


@dataclass(frozen=True, eq=False)
class Source:
    """n examples as the user gave them.

    features: the columns of a table, or images [n, C, H, W] in a tensor or a stream. y, group: [n] int64, ids of `classes`
    and `groups`; real targets y are [n] float64, and have no classes. truth: [n] clean label ids or targets, where a column
    of the source holds them; for evaluation only. remarks: what was left out or is missing. integer_labels: the user's
    labels were whole numbers, whose decimal writing `classes` holds. bins: of real targets, where these are the groups.
    target: what the user calls y. quantiles: of the column that the groups are bins of.
    removed: rows that are no examples, as a person said. test_rows: those that a column of the source names so. unit: [n] int64,
    what must stay together, such as the patient. votes: what several annotators said.
    """

    name: str
    features: Columns | Features
    y: Tensor
    classes: tuple[str, ...]
    group: Tensor
    groups: tuple[str, ...]
    truth: Tensor | None = None
    notes: tuple[str, ...] = ()
    integer_labels: bool = False
    bins: Bins | None = None
    target: str = "y"
    quantiles: Bins | None = None
    removed: Tensor | None = None
    test_rows: Tensor | None = None
    unit: Tensor | None = None
    votes: Votes | None = None

    @property
    def kind(self) -> str:
        """Return "table", "text" (a table with text in it) or "image"."""
        if not isinstance(self.features, Columns):
            return "image"
        return "text" if "text" in self.features.kinds.values() else "table"

    @property
    def schema(self) -> Schema:
        """What a test source must match."""
        table = isinstance(self.features, Columns)
        shape = () if isinstance(self.features, Columns) else tuple(self.features.shape[1:])
        return Schema(
            classes=self.classes,
            groups=self.groups,
            target=self.target,
            kinds=dict(self.features.kinds) if isinstance(self.features, Columns) else {},
            day_first=dict(self.features.day_first) if isinstance(self.features, Columns) else {},
            images=shape,
            integers=not table and not self.features.dtype.is_floating_point,  # type: ignore[union-attr]
            resized=bool(getattr(self.features, "resized", False)),
            bins=self.bins,
            quantiles=self.quantiles,
        )

    @property
    def found(self) -> str:
        """What was found in it, in words."""
        if isinstance(self.features, Columns):
            what = described(self.features.kinds.values())
        else:
            channels, height, width = self.features.shape[1:]
            what = f"images of {width} × {height} pixels in {channels} {'channels' if channels > 1 else 'channel'}"
        if not self.classes:
            low, high = float(self.y.min()), float(self.y.max())
            return f"{len(self):,} rows; {what}; target {self.target!r}: numbers from {low:.6g} to {high:.6g}"
        counts = torch.bincount(self.y, minlength=len(self.classes))
        ratio = float(counts.max()) / max(float(counts.min()), 1)
        named = f"{self.target!r}: {len(self.classes)} classes"
        return f"{len(self):,} rows; {what}; target {named}, 1 : {ratio:.3g} from rarest to most frequent"

    def __len__(self) -> int:
        return len(self.y)

    @property
    def rows(self) -> Tensor:
        """The rows [m] int64 that are examples."""
        kept = torch.ones(len(self), dtype=torch.bool)
        if self.removed is not None:
            kept[self.removed] = False
        return kept.nonzero().flatten()

    def encode(self, rows: Tensor, text: TextSettings | None = None, tokenizer_file: Path | None = None) -> Encoder:
        """Fit an encoder on the rows `rows` [m] int64, the training rows. text, tokenizer_file: as `RowEncoder.fit`."""
        if isinstance(self.features, Columns):
            return RowEncoder.fit(self.features, rows, text, tokenizer_file)
        return ImageEncoder.fit(self.features, rows)

    def scale(self, rows: Tensor) -> Scale | None:
        """Return the units of the target, fitted on the training rows `rows` [m] int64; None for classes."""
        return None if self.classes else Scale.fit(self.y[rows])

    def dataset(self, rows: Tensor, encoder: Encoder, scale: Scale | None = None) -> Dataset:
        """Return the rows `rows` [m] int64 as a dataset, named by their row here; a stream of images stays one."""
        y = self.y[rows]
        return Dataset(
            x=encoder.transform(self.features, rows),
            y=y,
            index=rows.clone(),
            group=y if self.group is self.y else self.group[rows],
            classes=self.classes,
            groups=self.groups,
            kind=self.kind,
            scale=scale,
            bins=self.bins,
            tokens=encoder.inputs.tokens,
            has_ids=encoder.inputs.has_ids,
            soft=None if self.votes is None or self.votes.votes is None else self.votes.soft[rows],
            disagreement=None if self.votes is None else self.votes.disagreement(self.y)[rows],
            unit=None if self.unit is None else self.unit[rows],
        )

    def truth_of(self, rows: Tensor) -> Truth | None:
        """Return the clean labels of the rows `rows` [m] int64, where they are known."""
        return None if self.truth is None else Truth(clean=self.truth[rows], index=rows.clone())

    def describe(self, index: int) -> dict[str, str]:
        """Return a few cells of a row of a table, as text for a reader; nothing for images."""
        if not isinstance(self.features, Columns):
            return {}
        shown = self.features.columns[:MOST_SHOWN]
        return {name: _shown(self.features[name].iloc[index]) for name in shown}

    def image(self, index: int) -> Image | None:
        """Return the image of a row; None for tables, and for images that are neither grey nor colour."""
        if isinstance(self.features, Columns):
            return None
        return picture(self.features[torch.tensor([index])][0])


def columns_like(table: Table, training: Schema) -> Columns:
    """Return the feature columns of training as another table has them, parsed alike.

    Raises UserError for a missing column, and for cells that can't be parsed so.
    """
    if not training.kinds:
        raise UserError(f"{table.file} is a table, and the training data are images; give test data of the same kind")
    check_columns(table, training.kinds)
    columns = Columns(table, training.kinds, training.day_first)
    for name in columns.columns:
        _ = columns[name]  # so that what can't be parsed is refused here
    return columns


def check_like(source: Source, training: Schema) -> None:
    """Check that a test source's features are of the kind of the training source's. Raises UserError."""
    here = source.schema
    if bool(here.images) != bool(training.images):
        what, trained = ("images" if schema.images else "a table" for schema in (here, training))
        raise UserError(f"{source.name} holds {what}, the training data {trained}; give the same kind")
    if here.images != training.images or here.integers != training.integers:
        pixels, trained = ("integers" if schema.integers else "real numbers" for schema in (here, training))
        raise UserError(
            f"{source.name} holds images {list(here.images)} of {pixels}, the training data "
            f"{list(training.images)} of {trained}; give images of the same size and type"
        )


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return "missing" if np.isnan(cell) else f"{cell:.6g}"
    if isinstance(cell, pd.Timestamp) or cell is pd.NaT:
        return "missing" if cell is pd.NaT else str(cell)
    text = str(cell)
    return (text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + " …") or "missing"
