"""Seeded, stratified folds, in which every group and every label is, and rows that belong together stay together."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.errors import UserError

OF_STRATA = 1  # keeps the draw of the strata's order apart from that of the examples


def folds(group: Tensor, y: Tensor, k: int, seed: int, unit: Tensor | None = None) -> Tensor:
    """Return the fold [n] int64, in 0..k-1, of each example.

    Every stratum (group and label) spreads over the folds so that its counts in them differ by at most one. So do the
    labels, and the sizes of the folds. With units, the folds keep all that as nearly as whole units allow.

    Parameters
    ----------
    group : Tensor
        The group of each example, [n] int64.
    y : Tensor
        Its label, or 0 where targets are numbers, [n] int64 (`Dataset.strata`).
    k : int
        The number of folds, in [2, n].
    seed : int
        Of the draw.
    unit : Tensor or None, optional
        The unit of each example, [n] int64; a unit stays in one fold.

    Raises
    ------
    UserError
        k is not in [2, n], or there are fewer than k units.
    """
    n = len(y)
    if not 2 <= k <= n:
        rule = f"must be in [2, {n}], {n} being the number of training examples"
        raise UserError(rule, setting="folds", value=k)
    if unit is not None:
        return _whole_units(strata(group, y), unit, k, seed)
    rng = np.random.default_rng(seed)
    fold = np.empty(n, dtype=np.int64)
    fold[_by_label(strata(group, y), y.numpy(), rng, seed)] = rng.permutation(k)[np.arange(n) % k]  # as cards are
    return torch.from_numpy(fold)


def _by_label(
    stratum: NDArray[np.integer], y: NDArray[np.integer], rng: np.random.Generator, seed: int
) -> NDArray[np.int64]:
    """Return an order [n] in which labels are contiguous, and in each of them strata, in an order of their own.

    In the order of groups, what is left over of a label would fall into the same fold time and again.
    """
    if not y.any():
        return by_stratum(stratum, rng)
    shuffled = rng.permutation(len(stratum))
    _, number = np.unique(stratum, return_inverse=True)
    drawn = np.random.default_rng((seed, OF_STRATA)).permutation(int(number.max(initial=0)) + 1)[number]
    order: NDArray[np.int64] = shuffled[np.lexsort((drawn[shuffled], y[shuffled]))]
    return order


def _whole_units(stratum: NDArray[np.integer], unit: Tensor, k: int, seed: int) -> Tensor:
    """Return the fold [n] of each example, by scikit-learn's StratifiedGroupKFold.

    Raises UserError where there are fewer than k units.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    units = len(torch.unique(unit))
    if units < k:
        rule = f"its column has {units} different cells, and {k} parts need at least {k}"
        raise UserError(rule, setting="group_by")
    fold = np.empty(len(unit), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are rarer than folds
        splits = StratifiedGroupKFold(k, shuffle=True, random_state=seed).split(stratum, stratum, unit.numpy())
        for number, (_, held_out) in enumerate(splits):
            fold[held_out] = number
    return torch.from_numpy(fold)


def half(group: Tensor, y: Tensor, seed: int, unit: Tensor | None = None) -> Tensor:
    """Return a stratified half of the examples as a mask [n] bool.

    Parameters
    ----------
    group, y : Tensor
        The group and the stratum of each example, [n] int64, as in `folds`.
    seed : int
        Of the draw.
    unit : Tensor or None, optional
        The unit of each example, [n] int64; a unit stays in one half.
    """
    return folds(group, y, 2, seed, unit) == 0


def strata(group: Tensor, y: Tensor) -> NDArray[np.unsignedinteger]:
    """Return one number [n] for each pair of group and label, in the smallest type that holds them all.

    Parameters
    ----------
    group, y : Tensor
        As in `folds`.
    """
    if not len(y):
        return np.empty(0, dtype=np.uint8)
    labels = int(y.max()) + 1
    kind = np.min_scalar_type((int(group.max()) + 1) * labels)
    stratum: NDArray[np.unsignedinteger] = group.numpy().astype(kind) * kind.type(labels)
    stratum += y.numpy().astype(kind)
    return stratum


def by_stratum(stratum: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return an order [n] in which strata are contiguous and the examples in each are shuffled.

    Parameters
    ----------
    stratum : ndarray
        The stratum of each example, [n].
    rng : Generator
        Draws the order.
    """
    shuffled = rng.permutation(len(stratum))
    return shuffled[np.argsort(stratum[shuffled], kind="stable")]
