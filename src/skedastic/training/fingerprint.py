"""What tells data from others: a hash of labels, and a few numbers of features, and of their rows' and columns' order.

Large features are not read whole: a million numbers of rows that lie evenly are, and 16 rows of what is decoded from
disk. The numbers are random sums. The same features computed on another machine, whose last digits may differ, have
the same within a tolerance; one other row of those that are read, or two columns changed about, have not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from skedastic.data.dataset import Dataset, Features
from skedastic.data.on_disk import OnDiskFeatures

CELLS = 2**20  # numbers that are read at most
LEAST_ROWS = 16  # that are read however many numbers they have
SUMS = 4
TOLERANCE = 1e-5  # of the features' root mean square


def digest_of_labels(datasets: Iterable[Dataset]) -> str:
    """Return a hash of the targets, names and groups of the rows of data sets."""
    digest = hashlib.blake2b(digest_size=8)
    for dataset in datasets:
        for tensor in (dataset.y, dataset.index, dataset.group):
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def fingerprint(x: Features) -> list[float]:
    """Return `SUMS` random sums over features [n, ...], and their root mean square, all of log-like values.

    Parameters
    ----------
    x : Features
        The features.
    """
    width = math.prod(x.shape[1:])
    most = max(LEAST_ROWS, CELLS // max(width, 1)) if isinstance(x, (Tensor, OnDiskFeatures)) else LEAST_ROWS
    rows = torch.linspace(0, len(x) - 1, min(len(x), most), dtype=torch.float64).long()
    read = x[rows].cpu().flatten(1).double().nan_to_num()
    values = read.asinh()  # so that columns of large numbers do not hide others
    generator = torch.Generator().manual_seed(0)
    of_rows = torch.randn(len(rows), generator=generator, dtype=torch.float64)
    of_columns = torch.randn(width, SUMS, generator=generator, dtype=torch.float64)
    sums = (of_rows @ values) @ of_columns / math.sqrt(max(1, values.numel()))
    return [*sums.tolist(), math.sqrt(float(values.square().mean())) if values.numel() else 0.0]


def alike(found: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> bool:
    """Return whether fingerprints are of the same features, one by one.

    Parameters
    ----------
    found, others : sequence of sequence of float
        As `fingerprint` returns them.
    """
    if len(found) != len(others):
        return False
    pairs = (
        (a, b, TOLERANCE * one[-1])
        for one, other in zip(found, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )
    return all(abs(a - b) <= allowed for a, b, allowed in pairs)
