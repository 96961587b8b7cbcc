"""A weighted mean of several predictions of numbers, and whether it errs less than another, on rows not seen.

Source: Wolpert, "Stacked Generalization", Neural Networks 1992; Breiman, "Stacked Regressions", Machine Learning 1996,
whose weights are at least 0. Here their sum is 1 too, so that the mean errs by the same mean of the errors r_i, and its
squared error is w'Sw with S_ij the mean of r_i r_j. Ours: S + λ min_i S_ii I pulls weights together, without regard to
units; and what is below a twentieth is nothing. Weights of least absolute error are those of squares that are divided
by the last absolute errors, again and again (Schlossmacher, "An Iterative Technique for Absolute Deviations Curve
Fitting", JASA 1973).

The gain is the share of the other's error that is saved. Its standard error is that of the paired influences of the
rows (`skedastic.core.criteria`).
"""

from __future__ import annotations

import math
from itertools import chain, combinations

import torch
from torch import Tensor

from skedastic.core.choice import Gain, Score, together

SHRINK = 0.1  # λ
LEAST_WEIGHT = 0.05  # below which one is none
PASSES, SAME = 20, 1e-3  # of absolute weights at most; a change of weights that is none
LEAST_SIZE = 0.1  # of an error that squares are divided by, in mean ones


def convex_weights(errors: Tensor, part: Tensor) -> Tensor:
    """Return the weights [k] ≥ 0 of sum 1 by which the mean of k predictions errs least, shrunk as above.

    Parameters
    ----------
    errors : Tensor
        By how much each prediction is off, [n, k].
    part : Tensor
        The part of each row, [n] int64 ≥ 0: squared errors are averaged over the rows of each, then over the parts.
    """
    errors = errors.double()
    moments = errors.T @ (errors * row_shares(part)[:, None])
    own = moments.diagonal()
    least = SHRINK * own.min() + torch.finfo(torch.float64).eps * own.mean()
    if not least > 0:
        return torch.full_like(own, 1 / len(own))
    weights = _on_simplex(moments + least * torch.eye(len(own), dtype=torch.float64))
    weights = torch.where(weights < LEAST_WEIGHT, 0.0, weights)
    return weights / weights.sum()


def absolute_weights(errors: Tensor, part: Tensor) -> Tensor:
    """Return the weights [k] ≥ 0 of sum 1 by which the mean errs least in absolute size; arguments as above."""
    errors = errors.double()
    weights = convex_weights(errors, part)
    for _ in range(PASSES):
        size = (errors @ weights).abs()
        size = size.clamp_min(LEAST_SIZE * float(size.mean()))
        last, weights = weights, convex_weights(errors / size.sqrt()[:, None], part) if size.all() else weights
        if float((weights - last).abs().max()) < SAME:
            break
    return weights


def _on_simplex(moments: Tensor) -> Tensor:
    """Return the w [k] ≥ 0 of sum 1 of least w'Mw, M [k, k] positive definite: each set of weights above 0 is tried."""
    k = len(moments)
    best, weights = math.inf, torch.zeros(k, dtype=torch.float64)
    for chosen in chain.from_iterable(combinations(range(k), size) for size in range(1, k + 1)):
        rows = list(chosen)
        solved = torch.linalg.solve(moments[rows][:, rows], torch.ones(len(rows), dtype=torch.float64))
        if bool((solved >= 0).all()) and (value := 1 / float(solved.sum())) < best:
            best, weights = value, torch.zeros(k, dtype=torch.float64)
            weights[rows] = solved * value
    return weights


def row_shares(part: Tensor) -> Tensor:
    """Return how much each row counts in a mean over parts of means over their rows, [n] float64; the sum is 1.

    Parameters
    ----------
    part : Tensor
        The part of each row, [n] int64 ≥ 0.
    """
    count = torch.bincount(part)
    return 1 / (count[part].double() * (count > 0).sum())


def root_mean_square(errors: Tensor, part: Tensor) -> Score:
    """Return the root of the mean square, and the influence of each row on it.

    Parameters
    ----------
    errors : Tensor
        By how much each row is off, [n].
    part : Tensor
        As in `convex_weights`.
    """
    squares, shares = errors.double() ** 2, row_shares(part)
    of_part = torch.bincount(part, squares) / torch.bincount(part).clamp_min(1)
    value = math.sqrt(float((shares * squares).sum()))
    influence = shares * (squares - of_part[part])
    return Score(value, influence / (2 * value) if value else torch.zeros_like(influence))


def mean_absolute(errors: Tensor, part: Tensor) -> Score:
    """Return the mean absolute error, and the influence of each row on it; arguments as of `root_mean_square`."""
    size, shares = errors.double().abs(), row_shares(part)
    of_part = torch.bincount(part, size) / torch.bincount(part).clamp_min(1)
    return Score(float((shares * size).sum()), shares * (size - of_part[part]))


def share_saved(own: Score, other: Score, unit: Tensor | None = None) -> Gain:
    """Return the share of the error of one prediction that another saves, at most 1.

    Parameters
    ----------
    own, other : Score
        The error of the one, and of the other, which is the base, on the same n rows.
    unit : Tensor, optional
        The unit of each row, [n] int64: rows of one may err together.
    """
    if not other.value:
        return Gain(0.0, 0.0)
    ratio, n = own.value / other.value, len(own.influence)
    rest = (own.influence - ratio * other.influence) / other.value  # of the ratio
    error = math.sqrt(float((rest**2).sum()) * n / max(1, n - 1))
    return Gain(1 - ratio, error * together(rest, unit))
