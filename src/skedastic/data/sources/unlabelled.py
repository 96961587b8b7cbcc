"""Rows to predict from: a source without labels, read a part at a time, so that memory does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from skedastic.data.image_arrays import as_images
from skedastic.data.images import EncodedImages, encoded_images
from skedastic.data.schema import Schema
from skedastic.data.sources import bundled, folders
from skedastic.data.sources.array_files import features_in
from skedastic.data.sources.from_table import find_image_column, image_files
from skedastic.data.sources.idx import read_idx
from skedastic.data.sources.names import ARRAYS, DIGITS, built_in, find_files, is_idx
from skedastic.data.sources.opening import open_table
from skedastic.data.tables.dates import is_day_first
from skedastic.data.tables.readers import FrameReader
from skedastic.data.tables.reading import copied
from skedastic.data.tables.roles import Roles, check_columns
from skedastic.data.tables.table import Columns, Table
from skedastic.data.targets.groups import group_columns
from skedastic.errors import UserError

ROWS, IMAGES = 8192, 512  # that are read at a time


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows: their features, as an encoder reads them, and the cells of the columns that were asked for."""

    features: Columns | Tensor
    cells: Table

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """n rows to predict from; parts of them as they come.

    Parameters
    ----------
    name : str
        The name of the source, in messages.
    table : Table or None
        The columns, where there are some.
    schema : Schema
        Of the training source.
    images : EncodedImages, Tensor or None
        The images, where these are the features.
    beside : tuple of str
        The columns that are read beside the features.
    keep : tuple of str
        The columns that are handed on; of a folder the path of each file too.
    notes : tuple of str
        For the user: what was left out, and what was done to images.
    """

    name: str
    table: Table | None
    schema: Schema
    images: EncodedImages | Tensor | None = None
    beside: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        if self.images is not None:
            return len(self.images)
        assert self.table is not None
        return len(self.table)

    def kept_type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column that is handed on."""
        assert self.table is not None
        return self.table.reader.type(name)

    def parts(self) -> Iterator[Chunk]:
        """Yield the rows in order, a part at a time. Raises UserError for a cell that can't be read as in training."""
        if self.images is None:
            assert self.table is not None
            for table in self.table.batches([*dict.fromkeys((*self.schema.kinds, *self.beside))], ROWS):
                yield Chunk(Columns(table, self.schema.kinds, self.schema.reading), table)
            return
        cells = None if self.table is None or not self.beside else self.table.batches(self.beside, IMAGES)
        for rows in torch.split(torch.arange(len(self)), IMAGES):
            empty = Table(self.name, FrameReader(pd.DataFrame(index=np.arange(len(rows)))))
            yield Chunk(self.images[rows], empty if cells is None else next(cells))


def open_unlabelled(source: str, schema: Schema, roles: Roles, keep: Sequence[str] = ()) -> Unlabelled:
    """Open a source to predict from. roles: as the model was trained with. keep: columns that are handed on.

    Raises UserError where the columns are not those of training, with those that are missing or beside them.
    """
    if built_in(source) == DIGITS:
        return _of_pixels(source, bundled.digits().features, schema, keep)
    if is_idx(Path(source)):
        return _of_pixels(source, as_images(torch.from_numpy(read_idx(Path(source))), source), schema, keep)
    if Path(source).suffix.lower() in ARRAYS:
        x = features_in(find_files(source)[0], schema)
        if not isinstance(x, Table):
            return _of_pixels(source, as_images(x, f"{source}: X"), schema, keep)
        return _of_table(x, schema, roles, keep)
    return _of_table(open_table(source, "predict"), schema, roles, keep)


def _of_pixels(source: str, pixels: object, schema: Schema, keep: Sequence[str]) -> Unlabelled:
    assert isinstance(pixels, Tensor)
    if keep:
        given = f"{source} has no columns with names"
        raise UserError("leave --keep out", setting="keep", value=",".join(keep), given=given)
    if tuple(pixels.shape[1:]) != schema.images:
        here, there = list(pixels.shape[1:]), list(schema.images) or "a table"
        rule = f"it holds images {here}, and the model was trained on {there}; give the same"
        raise UserError(rule, setting=source, value=here, given=source)
    return Unlabelled(source, None, schema, pixels)


def _of_table(table: Table, schema: Schema, roles: Roles, keep: Sequence[str]) -> Unlabelled:
    keep = [name.strip() for name in keep]
    for name in keep:
        table.check(name, "column to keep")
    keep = (*keep, *(name for name in table.apart if name == folders.PATH and name not in keep))
    groups = group_columns(roles.groups, table.names)
    beside = tuple(dict.fromkeys((*keep, *(g for g in groups if g in table.names))))
    if schema.images:
        column = find_image_column(table, roles)
        if column is None:
            rule = "it holds no images, and the model was trained on some; give the same kind"
            raise UserError(rule, setting=table.file)
        encoded = table.images[column]() if column in table.images else image_files(table, column)
        images, notes = encoded_images(encoded, schema.images[-1] if schema.resized else None, schema.decoding)
        if images.size != schema.images:
            here, there = list(images.size), list(schema.images)
            rule = f"it holds images {here}, and the model was trained on {there}; resize them"
            raise UserError(rule, setting=table.file, value=here, given=table.file)
        return Unlabelled(table.file, table, schema, images, beside, tuple(keep), (*table.notes, *notes))
    check_columns(table, schema.kinds)
    reading = copied(schema.reading)
    for name, kind in schema.kinds.items():  # which the parts could not tell alike
        if kind == "date" and name not in reading.day_first and (first := is_day_first(table.read(name))) is not None:
            reading.day_first[name] = first
    schema = replace(schema, reading=reading)
    return Unlabelled(table.file, table, schema, None, beside, tuple(keep), table.notes)
