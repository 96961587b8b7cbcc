"""The data sets that come with scikit-learn, by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from skedastic.data.sources.names import BUNDLED_TARGETS
from skedastic.data.sources.source import Source
from skedastic.data.tables.readers import FrameReader
from skedastic.data.tables.table import Table
from skedastic.data.targets.grouping import Grouping
from skedastic.data.targets.target import Classes


def bundled_table(name: str) -> tuple[Table, str]:
    """Return a bundled table, and its target: wine, iris, breast_cancer (classes) and diabetes (numbers)."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    target = bunch.target
    if "target_names" in bunch:
        target = pd.Series(np.asarray(bunch.target_names, dtype=object)[bunch.target.to_numpy()], dtype=object)
    return Table(name, FrameReader(bunch.data.assign(**{BUNDLED_TARGETS[name]: target.to_numpy()}))), BUNDLED_TARGETS[
        name
    ]


def digits() -> Source:
    """Return the 1797 images of 8 × 8 pixels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images.astype(np.float32) / 16).unsqueeze(1)
    y = torch.from_numpy(bunch.target.astype(np.int64))
    classes = tuple(str(c) for c in range(10))
    return Source("digits", x, y, Classes(classes, integer_labels=True), y, Grouping(classes))
