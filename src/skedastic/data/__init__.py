"""Data: from a file or arrays to tensors, with noise and imbalance for experiments, folds and batches."""

from skedastic.data.corruption import affected_classes, corrupt
from skedastic.data.dataset import Dataset, Features, Stream, Truth
from skedastic.data.encoders.encoder import Encoder
from skedastic.data.encoders.images import ImageEncoder
from skedastic.data.encoders.rows import RowEncoder
from skedastic.data.loader import Loader, RawBatch
from skedastic.data.schema import Schema
from skedastic.data.settings import TextSettings
from skedastic.data.sources.from_python import from_arrays, from_torch, is_frame, is_torch
from skedastic.data.sources.opening import open_source, open_table
from skedastic.data.sources.source import Source
from skedastic.data.splits import folds, half, limit, reference_rows, split_rows
from skedastic.data.tables.roles import Roles
from skedastic.data.targets.corrections import with_corrections
from skedastic.data.targets.grouping import Grouping
from skedastic.data.targets.regression import Bins, Scale
from skedastic.data.targets.target import Classes, Numbers, Target

__all__ = [
    "Bins",
    "Classes",
    "Dataset",
    "Encoder",
    "Features",
    "Grouping",
    "ImageEncoder",
    "Loader",
    "Numbers",
    "RawBatch",
    "Roles",
    "RowEncoder",
    "Scale",
    "Schema",
    "Source",
    "Stream",
    "Target",
    "TextSettings",
    "Truth",
    "affected_classes",
    "corrupt",
    "folds",
    "from_arrays",
    "from_torch",
    "half",
    "is_frame",
    "is_torch",
    "limit",
    "open_source",
    "open_table",
    "reference_rows",
    "split_rows",
    "with_corrections",
]
