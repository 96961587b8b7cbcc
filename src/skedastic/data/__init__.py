"""Data: from a file or arrays to tensors, with noise and imbalance for experiments, folds and batches."""

from typing import TYPE_CHECKING

from skedastic.runtime.lazy import lazy

if TYPE_CHECKING:
    from skedastic.data.corruption import affected_classes as affected_classes
    from skedastic.data.corruption import corrupt as corrupt
    from skedastic.data.dataset import Dataset as Dataset
    from skedastic.data.dataset import Features as Features
    from skedastic.data.dataset import Stream as Stream
    from skedastic.data.dataset import Truth as Truth
    from skedastic.data.encoders.encoder import Encoder as Encoder
    from skedastic.data.encoders.images import ImageEncoder as ImageEncoder
    from skedastic.data.encoders.rows import RowEncoder as RowEncoder
    from skedastic.data.loader import Loader as Loader
    from skedastic.data.loader import RawBatch as RawBatch
    from skedastic.data.schema import Schema as Schema
    from skedastic.data.settings import TextSettings as TextSettings
    from skedastic.data.single_rows import without_single_rows as without_single_rows
    from skedastic.data.sources.from_python import from_arrays as from_arrays
    from skedastic.data.sources.from_python import from_torch as from_torch
    from skedastic.data.sources.from_python import is_torch as is_torch
    from skedastic.data.sources.opening import open_later as open_later
    from skedastic.data.sources.opening import open_source as open_source
    from skedastic.data.sources.opening import open_table as open_table
    from skedastic.data.sources.portable import portable as portable
    from skedastic.data.sources.source import Source as Source
    from skedastic.data.splits import limit as limit
    from skedastic.data.splits import reference_rows as reference_rows
    from skedastic.data.splits import split_rows as split_rows
    from skedastic.data.stratified import folds as folds
    from skedastic.data.stratified import half as half
    from skedastic.data.tables.frames import is_frame as is_frame
    from skedastic.data.tables.roles import Roles as Roles
    from skedastic.data.targets.corrections import with_corrections as with_corrections
    from skedastic.data.targets.grouping import Grouping as Grouping
    from skedastic.data.targets.probabilities import read_probabilities as read_probabilities
    from skedastic.data.targets.regression import Bins as Bins
    from skedastic.data.targets.regression import Scale as Scale
    from skedastic.data.targets.target import Classes as Classes
    from skedastic.data.targets.target import Numbers as Numbers
    from skedastic.data.targets.target import Target as Target

__getattr__, __dir__ = lazy(__name__)
