"""Seeded, stratified partitions: the split into training and test, and small subsets. Folds are in `stratified`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.dataset import Dataset
from skedastic.data.stratified import by_stratum, folds, strata
from skedastic.errors import UserError

if TYPE_CHECKING:
    from skedastic.data.sources.source import Source

MOST_PARTS = 20  # of which whole ones are the test set, where rows belong together
REFERENCE = 0x2EF  # keeps the draw of a reference set apart from that of the test set


def split_rows(source: Source, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split a source into training and test rows, each in ascending order.

    Every class is in both parts, and its test rows spread evenly over its groups. A group's only example of a class
    stays in training unless the class has no others. Numbers are split as if of one class. Rows of one unit
    (`Source.unit`) stay together; the shares are then as near as whole units allow.

    Parameters
    ----------
    source : Source
        The source, whole.
    fraction : float
        The share of each class that is held out for testing, in (0, 1).
    seed : int
        Of the draw.

    Raises
    ------
    UserError
        The fraction is not in (0, 1).
    """
    if not 0 < fraction < 1:
        rule = "the fraction held out for testing must be in (0, 1), such as 0.3"
        raise UserError(rule, setting="test", value=fraction)
    rng = np.random.default_rng(seed)
    kept, whole = source.rows, source.removed is None
    labels = source.target.strata(source.y)
    y = (labels if whole else labels[kept]).numpy()
    group = y if source.group is labels else (source.group if whole else source.group[kept]).numpy()
    if source.unit is not None:
        unit = source.unit[kept]
        parts = min(MOST_PARTS, len(torch.unique(unit)))
        fold = folds(source.group[kept], torch.from_numpy(y), max(parts, 2), seed, unit)
        test = fold < min(max(round(fraction * parts), 1), parts - 1)
        return kept[~test], kept[test]
    held_out = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        take = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        rows = rows[by_stratum(group[rows], rng)]
        _, stratum, size = np.unique(group[rows], return_inverse=True, return_counts=True)
        shared = rows[size[stratum] > 1]
        rows = shared if len(shared) > take else rows
        held_out[rows[_evenly(len(rows), take, rng)]] = True
    return kept[torch.from_numpy(~held_out)], kept[torch.from_numpy(held_out)]


def reference_rows(source: Source, rows: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split training rows into those that stay and those set apart as a reference, each in ascending order.

    The reference has equally many rows of each class that has some, at least one, but at most half of the rows of a
    class. Numbers are split as if of one class.

    Parameters
    ----------
    source : Source
        The source of the rows.
    rows : Tensor
        The training rows, [n] int64.
    fraction : float
        The share of them that is set apart, in (0, 1).
    seed : int
        Of the draw.

    Raises
    ------
    UserError
        A class has a single row, which can't be in both parts.
    """
    rng = np.random.default_rng([seed, REFERENCE])
    y = source.target.strata(source.y[rows]).numpy()
    count = np.bincount(y, minlength=source.target.outputs)
    short = np.flatnonzero(count == 1)
    if len(short):
        name = f"class {source.classes[short[0]]!r}" if source.classes else "the data"
        rule = (
            f"{name} has {count[short[0]]} training example, and one can't be in the reference set and in the training "
            "set; give a file as reference"
        )
        raise UserError(rule, setting="reference", value=fraction)
    take = np.minimum(max(round(fraction * len(rows) / len(count)), 1), count // 2)
    shuffled = rng.permutation(len(rows))
    chosen = np.concatenate([shuffled[y[shuffled] == c][:k] for c, k in enumerate(take)])
    held_out = np.zeros(len(rows), dtype=bool)
    held_out[chosen] = True
    return rows[torch.from_numpy(~held_out)], rows[torch.from_numpy(held_out)]


def limit(dataset: Dataset, n: int, seed: int) -> Dataset:
    """Return a subset of n examples in the order of the dataset, its strata in proportion.

    Two examples of each class (as far as it has them) are kept first, so that no class is lost. A dataset with at
    most n examples is returned as it is.

    Parameters
    ----------
    dataset : Dataset
        The examples.
    n : int
        The number of examples in the subset.
    seed : int
        Of the draw.

    Raises
    ------
    UserError
        n is too small for two examples of each class.
    """
    if n >= len(dataset):
        return dataset
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dataset))
    y = dataset.strata.numpy()[order]
    rank = np.empty(len(y), dtype=np.int64)  # of each example among those of its class
    for label in np.unique(y):
        rank[y == label] = np.arange((y == label).sum())
    kept, others = order[rank < 2], order[rank >= 2]
    if len(kept) > n:
        rule = f"{len(np.unique(y))} classes need 2 examples each, {len(kept)} in all; raise it"
        raise UserError(rule, setting="limit", value=n)
    others = others[by_stratum(strata(dataset.group, dataset.strata)[others], rng)]
    rows = np.concatenate([kept, others[_evenly(len(others), n - len(kept), rng)]])
    return dataset.subset(torch.from_numpy(np.sort(rows)))


def _evenly(n: int, m: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return m of the positions 0..n-1, evenly spaced from a random start."""
    return ((np.arange(m) + rng.random()) * n / max(m, 1)).astype(np.int64)
