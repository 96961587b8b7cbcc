"""A source: a user's data, checked and whole, before it is split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_numeric_dtype
from PIL.Image import Image
from torch import Tensor

from skedastic.data.columns import CATEGORY, NUMBER, parse
from skedastic.data.dataset import Dataset, Features, Truth
from skedastic.data.encode import Encoder, ImageEncoder, TableEncoder
from skedastic.data.images import picture
from skedastic.data.tables import Table
from skedastic.data.targets import Bins, Scale
from skedastic.errors import UserError

MOST_SHOWN = 6  # columns in the description of a row


@dataclass(frozen=True, eq=False)
class Source:
    """n examples as the user gave them.

    features: a frame of float64 columns (NaN where missing) and string columns ("" where missing), or images
    [n, C, H, W] in a tensor or a stream. y, group: [n] int64, ids of `classes` and `groups`; real targets y are [n]
    float64, and have no classes. truth: [n] clean label ids or targets, where a column of the source holds them; for
    evaluation only. remarks: what was dropped or is missing. integer_labels: the user's labels were whole numbers, whose
    decimal writing `classes` holds. bins: of real targets, where these are the groups.
    """

    name: str
    features: pd.DataFrame | Features
    y: Tensor
    classes: tuple[str, ...]
    group: Tensor
    groups: tuple[str, ...]
    truth: Tensor | None = None
    remarks: tuple[str, ...] = ()
    integer_labels: bool = False
    bins: Bins | None = None

    @property
    def kind(self) -> str:
        """Return "table" or "image"."""
        return "table" if isinstance(self.features, pd.DataFrame) else "image"

    def __len__(self) -> int:
        return len(self.y)

    def encode(self, rows: Tensor) -> Encoder:
        """Fit an encoder on the rows `rows` [m] int64, the training rows."""
        features = self._features(rows)
        return TableEncoder.fit(features) if isinstance(features, pd.DataFrame) else ImageEncoder.fit(features)

    def scale(self, rows: Tensor) -> Scale | None:
        """Return the units of the target, fitted on the training rows `rows` [m] int64; None for classes."""
        return None if self.classes else Scale.fit(self.y[rows])

    def dataset(self, rows: Tensor, encoder: Encoder, scale: Scale | None = None) -> Dataset:
        """Return the rows `rows` [m] int64 as a dataset, named by their row here; a stream of images stays one."""
        return Dataset(
            x=encoder.transform(self._features(rows)),
            y=self.y[rows],
            index=rows.clone(),
            group=self.group[rows],
            classes=self.classes,
            groups=self.groups,
            kind=self.kind,
            scale=scale,
            bins=self.bins,
        )

    def truth_of(self, rows: Tensor) -> Truth | None:
        """Return the clean labels of the rows `rows` [m] int64, where they are known."""
        return None if self.truth is None else Truth(clean=self.truth[rows], index=rows.clone())

    def describe(self, index: int) -> dict[str, str]:
        """Return a few cells of a row of a table, as text for a reader; nothing for images."""
        if not isinstance(self.features, pd.DataFrame):
            return {}
        shown = self.features.columns[:MOST_SHOWN]
        return {str(name): _shown(self.features[name].iloc[index]) for name in shown}

    def image(self, index: int) -> Image | None:
        """Return the image of a row; None for tables, and for images that are neither grey nor colour."""
        if isinstance(self.features, pd.DataFrame):
            return None
        return picture(self.features[torch.tensor([index])][0])

    def _features(self, rows: Tensor) -> Any:
        if isinstance(self.features, pd.DataFrame):
            return self.features.iloc[rows.numpy()]
        return self.features[rows] if isinstance(self.features, Tensor) else self.features.take(rows)


def columns_like(table: Table, training: Source) -> pd.DataFrame:
    """Return the feature columns of a training source as another table has them, parsed alike.

    Raises UserError for a missing column, and for cells that can't be parsed so.
    """
    if not isinstance(training.features, pd.DataFrame):
        raise UserError(f"{table.file} is a table, and the training data are images; give test data of the same kind")
    columns = {}
    for name in training.features.columns:
        column, place = table.column(name, "feature column")
        columns[name] = parse(column, NUMBER if is_numeric_dtype(training.features[name].dtype) else CATEGORY, place)
    return pd.DataFrame(columns)


def check_like(source: Source, training: Source) -> None:
    """Check that a test source's features are of the kind of the training source's. Raises UserError."""
    here, there = source.features, training.features
    if isinstance(here, pd.DataFrame) or isinstance(there, pd.DataFrame):
        if source.kind != training.kind:
            raise UserError(
                f"{source.name} holds {source.kind}s, the training data {training.kind}s; give the same kind"
            )
        return
    if here.shape[1:] != there.shape[1:] or here.dtype != there.dtype:
        raise UserError(
            f"{source.name} holds images {list(here.shape[1:])} of {here.dtype}, the training data "
            f"{list(there.shape[1:])} of {there.dtype}; give images of the same size and type"
        )


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return "missing" if np.isnan(cell) else f"{cell:.6g}"
    return str(cell) or "missing"
