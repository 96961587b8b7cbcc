"""Data: from a file or arrays to tensors, with noise and imbalance for experiments, folds and batches."""

from skedastic.data.corrupt import affected_classes, corrupt
from skedastic.data.dataset import Dataset, Features, Stream, Truth
from skedastic.data.encode import Encoder, ImageEncoder, TableEncoder
from skedastic.data.folds import folds, half, limit, reference_rows, split_rows
from skedastic.data.from_python import from_arrays
from skedastic.data.loader import Loader, RawBatch
from skedastic.data.opening import open_source
from skedastic.data.source import Source
from skedastic.data.targets import Bins, Scale

__all__ = [
    "Bins",
    "Dataset",
    "Encoder",
    "Features",
    "ImageEncoder",
    "Loader",
    "RawBatch",
    "Scale",
    "Source",
    "Stream",
    "TableEncoder",
    "Truth",
    "affected_classes",
    "corrupt",
    "folds",
    "from_arrays",
    "half",
    "limit",
    "open_source",
    "reference_rows",
    "split_rows",
]
