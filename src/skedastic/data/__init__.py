"""Data: from a file or arrays to tensors, with noise and imbalance for experiments, folds and batches."""

from skedastic.data.corrections import with_corrections
from skedastic.data.corrupt import affected_classes, corrupt
from skedastic.data.dataset import Dataset, Features, Stream, Truth
from skedastic.data.encode import Encoder
from skedastic.data.encode_images import ImageEncoder
from skedastic.data.encode_rows import RowEncoder
from skedastic.data.encode_text import TextSettings
from skedastic.data.folds import folds, half, limit, reference_rows, split_rows
from skedastic.data.from_python import from_arrays, from_torch, is_frame, is_torch
from skedastic.data.known import Known
from skedastic.data.loader import Loader, RawBatch
from skedastic.data.opening import open_source, open_table
from skedastic.data.schema import Roles
from skedastic.data.source import Source
from skedastic.data.targets import Bins, Scale

__all__ = [
    "Bins",
    "Dataset",
    "Encoder",
    "Features",
    "ImageEncoder",
    "Known",
    "Loader",
    "RawBatch",
    "Roles",
    "RowEncoder",
    "Scale",
    "Source",
    "Stream",
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
