"""Gross errors among targets that are numbers: a slipped decimal point, another unit, a code such as 999, a lost sign.

A few of them ruin training by squared error. They are found as in Rousseeuw, Leroy, "Robust Regression and Outlier
Detection", 1987 (reweighted least squares): robust predictions, residuals relative to a robust spread, and plain
training without the rows that are far off. Ours:

1. Predictions are held out. In narrow rows they are those of boosted trees by absolute error; in wide ones ridge
   regression, fitted over again with each residual pulled in to twice the spread (Huber, "Robust Statistics", 1981,
   section 7.8).
2. The spread of a residual is that of the hundred or so rows that are predicted alike, so that dear diamonds may be
   farther off than cheap ones.
3. Heavy tails are no errors. A row is far off beyond the first T of 5, 10, 20 spreads such that at least a third of the
   rows beyond T/2 are beyond T. Where P(|r| > t) ∝ t^−α that share is 2^−α: below a quarter for noise that has a
   variance at all.
4. Where targets are of one sign, such as prices, they must be beyond three spreads in their logarithms too: skewed
   noise is far off on one side, and not in these. Where many targets are 0, as claims are, nothing is far off.
5. Gross errors are anywhere. Where the share p of the rows goes wrong at random, models that are fitted to them too
   take 1 − (1 − p)² off the squared residuals of others like them. Where they take off more, by a tenth, something in
   the rows tells, and the targets are a part of the data.
6. What far off targets can't buy decides: whether models that were fitted without them predict the other rows better by
   two standard errors, by squared error, on rows that neither model has seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import erfc
from torch import Tensor

from skedastic.core.choice import paired_gain
from skedastic.data import Dataset, folds
from skedastic.evaluation.metric import to_digits
from skedastic.methods.linear import ridge
from skedastic.methods.trees import MOST_CELLS, Trees, are_quick

FOLDS = 4
MOST_FITTED = 10_000  # rows of a model
LEAST_UNITS = 50  # rows, or units where rows belong together, below which nothing is judged
ALIKE = 100  # rows whose residuals make a spread
LEAST_SPREAD = 0.5  # of the spread of all residuals
LIMITS = (5.0, 10.0, 20.0)  # spreads
OF_LOGARITHMS = 3.0  # spreads
HEAVIEST = 1 / 3  # of the rows beyond half the limit, beyond it
MOST = 0.15  # of the rows; more are no errors but a part of the data
ONE_SIGN = 0.85  # of the targets, from which on they are of one sign but for errors
SMALLEST = 0.001  # of the targets of the usual sign, that count as the largest of them does
PASSES, PULLED_IN = 6, 2.0  # of ridge regression; spreads
SHRUNK = 0.1  # l2 of ridge regression, beside the mean variance of a number, in rows
FORETOLD = 0.1  # of the squared residuals, beyond what errors at random would have
SURE = 2.0  # standard errors
FACTORS = {10.0: "10 times", 0.1: "a tenth of", 100.0: "100 times", 0.01: "a hundredth of", -1.0: "the negative of"}
NEAR_FACTOR = 0.3  # of the factor

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Predict = Callable[[Rows], Floats]
Fit = Callable[[Rows, Floats], Predict]


@dataclass(frozen=True, eq=False)
class GrossErrors:
    """The m of n examples whose targets are gross errors, the farthest off first.

    Parameters
    ----------
    position : Tensor
        Where they are among the n, [m] int64.
    table : DataFrame
        A row each, as `find_label_issues_regression` has it.
    rows : int
        n.
    with_them, without : float
        The root mean squared error of held-out predictions of the other rows, by models fitted with them and without.
    by : str
        The models, in words.
    """

    position: Tensor
    table: pd.DataFrame
    rows: int
    with_them: float
    without: float
    by: str

    @property
    def note(self) -> str:
        """What was found, for the user."""
        errors = " to ".join(to_digits(value, 3) for value in (self.with_them, self.without))
        return (
            f"{len(self.table):,} of {self.rows:,} training rows were set aside, since their targets look like gross "
            f"errors{self._kind}: they are farther from held-out predictions than most heavy tails reach, and without "
            f"them the error of {self.by} on the other rows falls from {errors}; where they are right, "
            "gross_errors=keep trains on them"
        )

    def before(self, issues: pd.DataFrame) -> pd.DataFrame:
        """Return the label issues of the other examples with these before them.

        Parameters
        ----------
        issues : DataFrame
            As `find_label_issues_regression` returns them.
        """
        both = pd.concat([self.table, issues], ignore_index=True)
        return both.assign(rank=np.arange(1, len(both) + 1))

    @property
    def _kind(self) -> str:
        """What at least half of them have in common, in brackets; nothing where there is no such thing."""
        given, least = self.table["given"], max(3, len(self.table) / 2)
        value, count = given.mode()[0], int((given == given.mode()[0]).sum())
        if count >= least:
            return f" ({count:,} of them are {value:.12g})"
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = given.to_numpy() / self.table["suggested"].to_numpy()
        counts = {said: int((np.abs(ratio / f - 1) < NEAR_FACTOR).sum()) for f, said in FACTORS.items()}
        said = max(counts, key=counts.__getitem__)
        return f" ({counts[said]:,} of them are about {said} what is predicted)" if counts[said] >= least else ""


def find_gross_errors(dataset: Dataset, seed: int) -> GrossErrors | None:
    """Return the examples whose targets are gross errors (see above), or None where there are none.

    Parameters
    ----------
    dataset : Dataset
        n examples, rows of numbers and ids of categories; targets are numbers.
    seed : int
        Of the folds and of the trees.
    """
    n = len(dataset)
    if (n if dataset.unit is None else len(torch.unique(dataset.unit))) < LEAST_UNITS:
        return None
    x, y = dataset.x[torch.arange(n)].flatten(1).numpy(), dataset.y.numpy()
    fold = folds(dataset.group, dataset.strata, FOLDS, seed, dataset.unit).numpy()
    narrow = are_quick(x.shape[1], n)
    fit, robust = by_trees(seed) if narrow else by_ridge(dataset.ids, x.shape[1])
    predicted = held_out(x, y, fold, robust)
    off = in_spreads(predicted, y)
    far = far_off(off) & far_off_in_logarithms(predicted, y)
    if not 0 < far.sum() <= MOST * n or (y == 0).mean() > MOST:
        return None
    found = without_them(x, y, fold, fit, far, dataset.unit)
    if found is None:
        return None
    position = np.flatnonzero(far)
    position = position[np.argsort(-np.abs(off[position]), kind="stable")]
    table = listed(dataset, position, found.residual, off, erfc(np.abs(off) / 2**0.5))
    by = "boosted trees" if narrow else "ridge regression"
    return GrossErrors(torch.from_numpy(position), table, n, found.before, found.error, by)


def can_find_gross_errors(dataset: Dataset) -> bool:
    """Return whether gross errors are found in seconds: targets are numbers, and examples rows that are not too many.

    Parameters
    ----------
    dataset : Dataset
        The training set.
    """
    return not dataset.classes and dataset.has_columns and math.prod(dataset.x.shape) <= MOST_CELLS


class Without(NamedTuple):
    """Models that are fitted without the rows that seem wrong.

    Parameters
    ----------
    residual : ndarray
        Held-out residuals of all rows, [n].
    before, error : float
        The root mean squared error of the other rows, by models of all rows and by these.
    """

    residual: Floats
    before: float
    error: float


def without_them(
    x: Rows, y: Floats, fold: NDArray[np.int64], fit: Fit, wrong: NDArray[np.bool_], unit: torch.Tensor | None
) -> Without | None:
    """Return models without the rows that seem wrong; None where models foretell these, or the others gain nothing.

    Parameters
    ----------
    x, y, fold, fit
        As of `held_out`.
    wrong : ndarray
        Whether a row seems wrong, [n] bool.
    unit : Tensor or None
        The unit of each row, [n] int64: rows of one may err together.
    """
    rest = ~wrong
    before, after = (y - held_out(x, y, fold, fit, kept) for kept in (None, rest))
    if foretold(before[wrong], after[wrong]) > 1 - float(rest.mean()) ** 2 + FORETOLD:
        return None
    worse, better = (torch.from_numpy(residual[rest] ** 2) for residual in (before, after))
    unit = None if unit is None else unit[torch.from_numpy(rest)]
    gain = paired_gain(-better, -worse, torch.zeros(len(better), dtype=torch.int64), unit)
    if gain.mean <= SURE * gain.error:
        return None
    return Without(after, math.sqrt(float(worse.mean())), math.sqrt(float(better.mean())))


def listed(dataset: Dataset, position: NDArray[np.int64], residual: Floats, off: Floats, score: Floats) -> pd.DataFrame:
    """Return the rows that seem wrong as a table of labels to check.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    position : ndarray
        The rows, [m], the worst first.
    residual, off, score : ndarray
        Of all rows, [n]: held-out residuals, the same in spreads, and how probably the target is right.
    """
    y = dataset.y.numpy()
    columns: dict[str, Any] = {"rank": np.arange(1, len(position) + 1), "index": dataset.index.numpy()[position]}
    columns |= {"given": y[position], "suggested": (y - residual)[position], "score": score[position]}
    return pd.DataFrame(columns | {"is_issue": True, "residual": off[position]})


def foretold(before: Floats, after: Floats) -> float:
    """Return the share of squared residuals [m] that models take off by being fitted to others like them, at most 1.

    Parameters
    ----------
    before, after : ndarray
        Residuals of models fitted with such rows, and without, [m].
    """
    return 1 - float((before**2).sum() / (after**2).sum())


def held_out(x: Rows, y: Floats, fold: NDArray[np.int64], fit: Fit, kept: NDArray[np.bool_] | None = None) -> Floats:
    """Return predictions [n] of each fold by a model of the others, or of those of their rows that are kept.

    Of more than 10,000 rows such a model has as many, drawn at random, the same ones of each call where they are kept.

    Parameters
    ----------
    x : ndarray
        Rows, [n, d].
    y : ndarray
        Targets, [n].
    fold : ndarray
        The fold of each row, [n].
    fit : callable
        From rows and targets to the function that predicts.
    kept : ndarray, optional
        Whether a row is fitted to, [n] bool; by default all are.
    """
    predicted, order = np.zeros(len(y)), np.random.default_rng(0).permutation(len(y))
    for k in np.unique(fold):
        others = (fold != k) if kept is None else (fold != k) & kept
        some = np.sort(order[others[order]][:MOST_FITTED])
        predicted[fold == k] = fit(x[some], y[some])(x[fold == k])
    return predicted


def spread(residuals: Floats) -> float:
    """Return the deviation that normal residuals [m] of these sizes would have, by their median or their 80 % quantile.

    The larger of the two counts, so that it is not 0 where most targets are equal.
    """
    size = np.abs(residuals)
    return float(max(np.quantile(size, 0.5) / 0.6745, np.quantile(size, 0.8) / 1.2816))


def in_spreads(predicted: Floats, y: Floats) -> Floats:
    """Return how far targets [n] are above their predictions [n], in spreads of the rows that are predicted alike."""
    residual = y - predicted
    least = LEAST_SPREAD * spread(residual)
    off = np.zeros(len(y))
    for rows in np.array_split(np.argsort(predicted, kind="stable"), max(1, len(y) // ALIKE)):
        own = max(spread(residual[rows]), least)
        off[rows] = residual[rows] / own if own > 0 else 0.0
    return off


def far_off(off: Floats) -> NDArray[np.bool_]:
    """Return which residuals [n], in spreads, are beyond the limit of tails that are too heavy for noise, [n] bool."""
    size = np.abs(off)
    for limit in LIMITS:
        beyond, half = ((size > end).sum() for end in (limit, limit / 2))
        if beyond and beyond >= HEAVIEST * half:
            far: NDArray[np.bool_] = size > limit
            return far
    return np.zeros(len(off), dtype=np.bool_)


def far_off_in_logarithms(predicted: Floats, y: Floats) -> NDArray[np.bool_]:
    """Return whether targets [n] of one sign are far from predictions [n] in logarithms, [n] bool; else all are.

    A target that is 0 or of the other sign is far off. Predictions of the other sign count as the smallest targets do.
    """
    sign = np.sign(np.sign(y).sum())
    usual = y * sign > 0
    if usual.mean() < ONE_SIGN:
        return np.ones(len(y), dtype=np.bool_)
    least = np.quantile(np.abs(y[usual]), SMALLEST)
    logarithms = [np.log(np.maximum(values[usual] * sign, least)) for values in (predicted, y)]
    far: NDArray[np.bool_] = ~usual
    far[usual] = np.abs(in_spreads(*logarithms)) > OF_LOGARITHMS
    return far


def by_trees(seed: int) -> tuple[Fit, Fit]:
    """Return the fit of boosted trees by squared error, and by absolute error."""
    fit = partial(_fit_trees, settings=Trees().of_boosting(seed))
    return partial(fit, loss="squared_error"), partial(fit, loss="absolute_error")


def by_small_trees(seed: int) -> Fit:
    """Return the fit of boosted trees of 8 leaves by absolute error, which many wrong targets move less."""
    return partial(_fit_trees, settings=Trees(leaves=8).of_boosting(seed), loss="absolute_error")


def _fit_trees(x: Rows, y: Floats, settings: dict[str, Any], loss: str) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor  # a second to import

    predict: Predict = HistGradientBoostingRegressor(loss=loss, **settings).fit(x, y).predict
    return predict


def by_ridge(ids: int, width: int) -> tuple[Fit, Fit]:
    """Return the fit of ridge regression, and its fit with residuals pulled in."""

    def plain(x: Rows, y: Floats) -> Predict:
        of_a_number = float(x[:, : width - ids].var(axis=0).mean()) if width > ids else 0.0
        predict: Predict = ridge(ids, width, max(SHRUNK * len(y) * of_a_number, 1.0)).fit(x, y).predict
        return predict

    def robust(x: Rows, y: Floats) -> Predict:
        predicted = np.full(len(y), np.median(y))
        for _ in range(PASSES):
            most = PULLED_IN * spread(y - predicted)
            predict = plain(x, predicted + np.clip(y - predicted, -most, most))
            predicted = predict(x)
        return predict

    return plain, robust
