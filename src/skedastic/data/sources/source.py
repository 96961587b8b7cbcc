"""A source: a user's data, checked and whole, before it is split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from skedastic.data.image_arrays import picture
from skedastic.data.pixels import PLAIN
from skedastic.data.schema import Schema
from skedastic.data.settings import TextSettings
from skedastic.data.tables.readers import FrameReader
from skedastic.data.tables.reading import copied
from skedastic.data.tables.roles import check_columns, described
from skedastic.data.tables.table import Columns, Table
from skedastic.data.targets.annotations import Annotations
from skedastic.data.targets.grouping import Grouping
from skedastic.data.targets.reading import Targets
from skedastic.data.targets.target import Target
from skedastic.errors import UserError

MOST_SHOWN = 6  # columns in the description of a row
LONGEST_NUMBER, EXACT_DIGITS = 12, 1e5  # characters of a number in text; numbers of more digits are shown whole
LONGEST_CELL = 300  # letters of a text in it


@dataclass(frozen=True, eq=False)
class Source:
    """n examples as the user gave them.

    Parameters
    ----------
    name : str
        The name of the source, in messages.
    features : Columns or Features
        The columns of a table, or images [n, C, H, W] in a tensor or a stream.
    y : Tensor
        The targets [n] as given, of the kind of `target`.
    target : Target
        The kind of the targets, in no units yet.
    group : Tensor
        The group of each row, [n] int64 in 0..G-1.
    grouping : Grouping
        The G groups.
    truth : Tensor or None
        Clean targets [n], where a column of the source holds them; for evaluation only.
    notes : tuple of str
        For the user: the columns that were left out, cells that are missing.
    removed : Tensor or None
        The rows that are no examples, as a person said.
    test_rows : Tensor or None
        The rows that a column of the source names as test rows.
    unit : Tensor or None
        The unit of each row, [n] int64, which stays together, such as the patient.
    annotations : Annotations or None
        The labels or ratings of several annotators.
    """

    name: str
    features: Columns | Features
    y: Tensor
    target: Target
    group: Tensor
    grouping: Grouping
    truth: Tensor | None = None
    notes: tuple[str, ...] = ()
    removed: Tensor | None = None
    test_rows: Tensor | None = None
    unit: Tensor | None = None
    annotations: Annotations | None = None

    @classmethod
    def of(
        cls,
        name: str,
        features: Columns | Features,
        targets: Targets,
        *,
        notes: tuple[str, ...] = (),
        annotations: Annotations | None = None,
    ) -> Source:
        """Return the source with these features and targets; the targets' notes follow the others.

        Parameters
        ----------
        name : str
            The name of the source, in messages.
        features : Columns or Features
            The features of its n rows.
        targets : Targets
            The targets and the groups of its rows.
        notes : tuple of str, optional
            For the user.
        annotations : Annotations or None, optional
            The labels or ratings of several annotators.
        """
        t = targets
        return cls(
            name,
            features,
            t.y,
            t.target,
            t.group,
            t.grouping,
            t.truth,
            notes=(*notes, *t.notes),
            annotations=annotations,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; none where targets are numbers."""
        return self.target.classes

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups."""
        return self.grouping.names

    @property
    def kind(self) -> str:
        """Return "table", "text" (a table with text in it) or "image"."""
        if not isinstance(self.features, Columns):
            return "image"
        return "text" if "text" in self.features.kinds.values() else "table"

    @property
    def schema(self) -> Schema:
        """The schema that a test source must match."""
        if isinstance(self.features, Columns):
            kinds, reading = dict(self.features.kinds), self.features.reading
            return Schema(target=self.target, grouping=self.grouping, kinds=kinds, reading=reading)
        decoding = getattr(self.features, "decoding", PLAIN)
        return Schema(
            target=self.target,
            grouping=self.grouping,
            images=tuple(self.features.shape[1:]),
            integers=not self.features.dtype.is_floating_point,
            resized=bool(getattr(self.features, "resized", False)),
            level=decoding.level,
            alpha=decoding.alpha,
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of how the source was read: its notes."""
        return self.notes

    @property
    def summary(self) -> str:
        """The source in words."""
        if isinstance(self.features, Columns):
            features = described(self.features.kinds.values())
        else:
            channels, height, width = self.features.shape[1:]
            plural = "channels" if channels > 1 else "channel"
            features = f"images of {width} × {height} pixels in {channels} {plural}"
        return f"{len(self):,} rows; {features}; target {self.target.summary(self.y)}"

    def __len__(self) -> int:
        return len(self.y)

    @property
    def rows(self) -> Tensor:
        """The rows [m] int64 that are examples."""
        kept = torch.ones(len(self), dtype=torch.bool)
        if self.removed is not None:
            kept[self.removed] = False
        return kept.nonzero().flatten()

    def encode(
        self,
        rows: Tensor,
        text: TextSettings | None = None,
        tokenizer_file: Path | None = None,
        *,
        as_tokens: bool = True,
    ) -> Encoder:
        """Return an encoder that is fitted on the training rows.

        Parameters
        ----------
        rows : Tensor
            The training rows, [m] int64.
        text : TextSettings or None, optional
            How text becomes tokens, or numbers.
        tokenizer_file : Path or None, optional
            The tokenizer of a pretrained model.
        as_tokens : bool, optional
            Whether text becomes tokens, and not numbers.
        """
        if isinstance(self.features, Columns):
            return RowEncoder.fit(self.features, rows, text, tokenizer_file, as_tokens=as_tokens)
        return ImageEncoder.fit(self.features, rows)

    def fit_target(self, rows: Tensor) -> Target:
        """Return the target in the units of the training rows.

        Parameters
        ----------
        rows : Tensor
            The training rows, [m] int64.

        Raises
        ------
        UserError
            All of their targets are the same number.
        """
        return self.target.fit(self.y[rows])

    def dataset(self, rows: Tensor, encoder: Encoder, target: Target | None = None) -> Dataset:
        """Return some rows as a data set; a stream of images stays one.

        Parameters
        ----------
        rows : Tensor
            [m] int64; they name the examples.
        encoder : Encoder
            Fitted on the training rows.
        target : Target or None, optional
            As fitted on the training rows; by default the source's, which classes need no more than.
        """
        y = self.y[rows]
        annotations = self.annotations
        return Dataset(
            x=encoder.transform(self.features, rows),
            y=y,
            index=rows.clone(),
            group=y if self.group is self.y else self.group[rows],
            target=target or self.target,
            grouping=self.grouping,
            kind=self.kind,
            tokens=encoder.inputs.tokens,
            ids=len(encoder.inputs.sizes),
            words=encoder.inputs.words,
            soft=None if annotations is None or annotations.soft is None else annotations.soft[rows],
            disagreement=None if annotations is None else annotations.disagreement(self.y)[rows],
            unit=None if self.unit is None else self.unit[rows],
        )

    def truth_of(self, rows: Tensor) -> Truth | None:
        """Return the clean targets of some rows; None where they are not known.

        Parameters
        ----------
        rows : Tensor
            The rows, [m] int64.
        """
        return None if self.truth is None else Truth(clean=self.truth[rows], index=rows.clone())

    def describe(self, rows: Sequence[int]) -> list[dict[str, str]]:
        """Return a few cells of each of some rows [m] of a table, as text for a reader; nothing for images.

        Parameters
        ----------
        rows : sequence of int
            The rows.
        """
        described: list[dict[str, str]] = [{} for _ in rows]
        if not isinstance(self.features, Columns):
            return described
        columns, table = self.features, self.features.table
        for name in [name for name, kind in columns.kinds.items() if kind != "vector"][:MOST_SHOWN]:
            written = table.read(name).take(rows).reset_index(drop=True)
            alone = replace(table, reader=FrameReader(written.to_frame(name)))
            parsed = Columns(alone, columns.kinds, copied(columns.reading))[name]
            for row, value, cell in zip(described, parsed, written, strict=True):
                row[name] = _shown_number(value, cell) if isinstance(value, float) else _shown(value)
        return described

    def image(self, index: int) -> Image | None:
        """Return the image of a row; None for tables, and for images that are neither grey nor colour.

        Parameters
        ----------
        index : int
            The row.
        """
        if isinstance(self.features, Columns):
            return None
        return picture(self.features[torch.tensor([index])][0])


def columns_like(table: Table, training: Schema) -> Columns:
    """Return the feature columns of training as another table has them, parsed alike.

    Raises UserError for a missing column, and for cells that can't be parsed so.
    """
    if not training.kinds:
        rule = "it is a table, and the training data are images; give test data of the same kind"
        raise UserError(rule, setting=table.file)
    check_columns(table, training.kinds)
    columns = Columns(table, training.kinds, copied(training.reading))
    columns.check()
    return columns


def check_like(source: Source, training: Schema) -> None:
    """Check that a test source's features are of the kind of the training source's. Raises UserError."""
    here = source.schema
    if bool(here.images) != bool(training.images):
        what, trained = ("images" if schema.images else "a table" for schema in (here, training))
        rule = f"it holds {what}, and the training data {trained}; give the same kind"
        raise UserError(rule, setting=source.name)
    if here.images != training.images or here.integers != training.integers:
        pixels, trained = ("integers" if schema.integers else "real numbers" for schema in (here, training))
        rule = (
            f"it holds images {list(here.images)} of {pixels}, the training data {list(training.images)} of {trained}; "
            "give images of the same size and type"
        )
        raise UserError(rule, setting=source.name, value=list(here.images), given=source.name)


def _shown_number(value: float, cell: object) -> str:
    """Return a number as it is written, but for digits after the point that nobody reads."""
    if np.isnan(value):
        return "missing"
    is_whole = value == np.round(value)
    if isinstance(cell, str) and (is_whole or len(cell.strip()) <= LONGEST_NUMBER):
        return cell.strip()
    if is_whole:
        return str(int(cell)) if isinstance(cell, (int, np.integer)) else f"{value:.0f}"
    return f"{value:.6g}" if abs(value) < EXACT_DIGITS else f"{value:.15g}"


def _shown(cell: object) -> str:
    if isinstance(cell, pd.Timestamp) or cell is pd.NaT:
        return "missing" if cell is pd.NaT else str(cell)
    text = str(cell)
    return (text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + " …") or "missing"
