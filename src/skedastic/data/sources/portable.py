"""A source that another process can take, on this machine or on another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from skedastic.data.images import EncodedImages, FileBytes
from skedastic.data.sources.source import Source
from skedastic.data.tables.readers import ArrowReader, FrameReader
from skedastic.data.tables.table import Columns


def portable(source: Source) -> Source:
    """Return the same source, to be pickled: it reads the same cells and images.

    The cells of its columns are in memory. Images in files stay there, and are found by their whole paths.

    Parameters
    ----------
    source : Source
        The source, as it was opened.
    """
    features = source.features
    if isinstance(features, Columns):
        return replace(source, features=_in_memory(features))
    if isinstance(features, EncodedImages) and isinstance(features.encoded, FileBytes):
        paths = tuple(str(Path(path).absolute()) for path in features.encoded.paths)
        return replace(source, features=replace(features, encoded=FileBytes(paths)))
    return source


def _in_memory(columns: Columns) -> Columns:
    """Return the columns without their file: its lines are not known there, and errors name cells by row."""
    reader = columns.table.reader
    if not isinstance(reader, FrameReader):
        reader = ArrowReader(pa.table({name: reader.arrow(name) for name in columns.columns}))
    return columns.of(replace(columns.table, reader=reader, lines=None, images={}))
