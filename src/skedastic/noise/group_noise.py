"""Rates of groups, with intervals, from few examples: of errors, of wrong labels, of uncertain ones.

HAR (section 2.3, equation 7) takes the raw error rate of each group. A rare group has a handful of held-out
examples, and its raw rate is mostly chance: 0 of 5 is not "no noise". So the groups inform each other:

    errors_g ~ Binomial(counted_g, p_g),   p_g ~ Beta(m κ, (1 − m) κ).

Plugging in the likeliest (m, κ) makes the intervals far too short where there are few groups or they are alike
(in simulations 40 to 89 % of the 95 % intervals held the truth). So the two are averaged over instead (`hierarchy`),
and p_g is given the Beta distribution with the mean and variance of the averaged posterior.

The weak priors: m ~ Beta(1/2, 1/2), Jeffreys'; κ / (κ + N) ~ Beta(1, 5), N the median held-out size (at least 10):
at the outset the common rate has weight 1/6 in the estimate of a typical group, and the data move it.

Where each example has a chance of being one that is counted (`true_labels`), their sum stands for the errors. Chance is
not all then: `expected_rates` widens the intervals by how far the model may be wrong that gave the chances.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, betaln, expit, log_expit, logit

from skedastic.errors import UserError
from skedastic.evaluation.intervals import wilson
from skedastic.noise.blocks import blocks
from skedastic.noise.hierarchy import Floats, grid

Integers = NDArray[np.int64]

OWN_WEIGHT = 5.0  # κ / (κ + N) ~ Beta(1, OWN_WEIGHT); at 1, intervals are too short with two to four groups
OF_OWN = 0.3  # of what a model takes for its own errors, in a group or in all, how far it may be wrong in that
LEAST_TYPICAL = 10.0  # below, a weak prior would be a strong belief that every rate is near 0 or 1


class Rates(NamedTuple):
    """A rate in [0, 1] for each of G groups, and the ends of its interval, each [G]; low ≤ rate ≤ high."""

    rate: Floats
    low: Floats
    high: Floats


def group_noise(errors: ArrayLike, counted: ArrayLike, *, shrink: bool = True, level: float = 0.95) -> Rates:
    """Return the estimated error rate of each group with an equal-tailed interval.

    With `shrink` it is the posterior mean of the model above: a group's own rate, drawn towards the common one, the
    more so the fewer examples it has and the more alike the groups are. It is never exactly 0 or 1. A group with
    nothing held out gets the rate that is expected of any group. Where only one group has held-out examples, there is
    nothing to learn the common rate from, and each group stands alone with Jeffreys' prior Beta(1/2, 1/2).

    Without it, it is the raw rate with the Wilson interval; a group with nothing held out gets the rate over all
    groups, and the interval [0, 1].

    Parameters
    ----------
    errors : ArrayLike
        The counted examples of each group that are predicted otherwise than labelled, or the sum of their chances of
        being so, [G] in 0..counted.
    counted : ArrayLike
        The held-out examples of each group whose predictions are counted, whole numbers [G].
    shrink : bool, optional
        Whether the groups inform each other.
    level : float, optional
        The probability that the interval holds the true rate, in (0, 1).

    Raises
    ------
    UserError
        Shapes differ, there is no group, or a number is out of its range.
    """
    e, n = _checked(errors, counted, level)
    if not shrink:
        pooled = e.sum() / n.sum() if n.any() else 0.5
        return Rates(np.divide(e, n, out=np.full_like(e, pooled), where=n > 0), *wilson(e, n, level))
    if (n > 0).sum() < 2:
        a, b = e + 0.5, n - e + 0.5
    else:
        a, b = _averaged_posterior(e, n)
    rate, tail = a / (a + b), (1 - level) / 2
    low, high = betaincinv(a, b, tail), betaincinv(a, b, 1 - tail)
    # A posterior piled up at an end can have its mean beyond its own quantiles.
    return Rates(rate, np.minimum(low, rate), np.maximum(high, rate))


def expected_rates(chance: Floats, apart: Floats, doubt: Floats, own: Floats, group: Integers, fold: Integers) -> Rates:
    """Return the mean chance of each group, shrunk as in `group_noise`, with an interval of chance and model error.

    The ends are those of `group_noise`, moved out by twice the standard deviation of the model's error, for which three
    things stand: the mean doubt, as if all of it were wrong in one direction; the standard error of the mean over folds
    whose models know nothing of each other; and three tenths of what the model takes for its own errors, chosen so
    that the intervals hold: benchmarks/noise_estimate.py. Of its own errors in the group and in all groups the larger
    share counts. Else the interval would be shortest where all errors of a model in a group are taken for wrong labels.

    Parameters
    ----------
    chance, apart : ndarray
        The chance of each example to be one that is counted, [n] in [0, 1], and the same by its fold alone.
    doubt : ndarray
        How unsure the chance is, [n] in [0, 1]: 0 where it is 0 or 1 for sure.
    own : ndarray
        The share of each group that is predicted otherwise than labelled, less the share of wrong labels, [G].
    group, fold : ndarray
        The group [n] in 0..G-1 and the fold [n] in 0..K-1 of each example.
    """
    groups = len(own)
    count = np.bincount(group, minlength=groups)
    rates = group_noise(np.minimum(np.bincount(group, chance, minlength=groups), count), count)
    between = _error_over_folds(apart, group, fold, groups)
    unsure = np.bincount(group, doubt, minlength=groups) / np.maximum(count, 1)
    of_all = max(0.0, float(own @ count) / max(1, len(group)))
    shift = np.sqrt(unsure**2 + between**2 + (OF_OWN * own.clip(of_all)) ** 2)
    low, high = (np.hypot(rates.rate - rates.low, 2 * shift), np.hypot(rates.high - rates.rate, 2 * shift))
    return Rates(rates.rate, (rates.rate - low).clip(0, rates.rate), (rates.rate + high).clip(rates.rate, 1))


def begun_lower(rates: Rates, beyond: Floats) -> Rates:
    """Return rates whose intervals begin lower, for an error that can only make a rate too high.

    Parameters
    ----------
    rates : Rates
        Of G groups.
    beyond : ndarray
        How far that error may reach below the rate, [G] ≥ 0. It is added in squares to what the interval allows for,
        which is measured to be enough, and not derived (docs/design.md).
    """
    return rates._replace(low=(rates.rate - np.hypot(rates.rate - rates.low, beyond)).clip(0))


def towards_errors(rates: Rates, errors: Integers, counted: Integers) -> Rates:
    """Return rates drawn towards the error rate of held-out predictions, the more so the less sure they are.

    Both tell how uncertain labels are. The error rate counts the model's own errors and is another figure where noise
    goes one way; in few rows it is the steadier one. Each has the weight of its precision, 1 over the variance: of the
    rates by their intervals, of the error rate by chance and by how far it is from the rates. The intervals stay.

    Parameters
    ----------
    rates : Rates
        How uncertain labels are, by the likely true labels, [G].
    errors, counted : ndarray
        Held-out examples that are predicted otherwise than labelled, and all of them, [G].
    """
    rate = (errors + 0.5) / (counted + 1)
    own = ((rates.high - rates.low) / 4) ** 2
    other = rate * (1 - rate) / np.maximum(counted, 1) + (rate - rates.rate) ** 2
    mean = (rates.rate * other + rate * own) / (own + other)
    return Rates(mean.clip(rates.low, rates.high), rates.low, rates.high)


def _error_over_folds(values: Floats, group: Integers, fold: Integers, groups: int) -> Floats:
    """Return the standard error of the mean of each group, [G], by its means in the folds; 0 where there is one."""
    folds = int(fold.max(initial=0)) + 1
    cell = group * folds + fold
    count = np.bincount(cell, minlength=groups * folds).reshape(groups, folds)
    total = np.bincount(cell, values, minlength=groups * folds).reshape(groups, folds)
    there, k = count > 0, (count > 0).sum(1)
    mean = total / np.maximum(count, 1)
    middle = (mean * there).sum(1) / np.maximum(k, 1)
    squares = (there * (mean - middle[:, None]) ** 2).sum(1)
    return np.where(k > 1, np.sqrt(squares / np.maximum(k - 1, 1) / np.maximum(k, 1)), 0.0)


def _checked(errors: ArrayLike, counted: ArrayLike, level: float) -> tuple[Floats, Floats]:
    e, n = np.asarray(errors, dtype=np.float64), np.asarray(counted, dtype=np.float64)
    if e.ndim != 1 or e.shape != n.shape or not len(e):
        shapes = f"{list(e.shape)} and {list(n.shape)}"
        rule = "errors and counted must both be [G] with G at least 1"
        raise UserError(rule, setting="group_noise", value=shapes, given=f"group_noise: got shapes {shapes}")
    wrong = ~((e >= 0) & (e <= n) & np.isfinite(n) & (n % 1 == 0))
    if wrong.any():
        g = int(wrong.argmax())
        raise UserError(
            "0 ≤ errors ≤ counted, and counted must be a whole number",
            setting=f"group_noise: errors[{g}]",
            value=float(e[g]),
            given=f"group_noise: group number {g} has {e[g]:g} errors in {n[g]:g} held-out examples",
        )
    if not 0 < level < 1:
        raise UserError("must be in (0, 1), for instance 0.95", setting="group_noise: level", value=level)
    return e, n


def _averaged_posterior(e: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Return the Beta (a [G], b [G]) nearest to each group's posterior, averaged over (m, κ)."""
    over = _grid(e[n > 0], n[n > 0])
    a, b = np.empty(len(e)), np.empty(len(e))
    for groups in blocks(len(e), len(over[0])):
        a[groups], b[groups] = _of_posterior(e[groups], n[groups], *over)
    return a, b


def _of_posterior(e: Floats, n: Floats, weight: Floats, m: Floats, kappa: Floats) -> tuple[Floats, Floats]:
    """Return the Beta (a [G], b [G]) nearest to each group's posterior, averaged over (m, κ) with weights [H]."""
    total = kappa[:, None] + n  # [H, G]
    means = (m[:, None] * kappa[:, None] + e) / total
    rests = ((1 - m)[:, None] * kappa[:, None] + (n - e)) / total  # 1 − means, exact where means is near 1
    mean, rest = weight @ means, weight @ rests
    variance = weight @ (means * rests / (total + 1) + (means - mean) ** 2)
    concentration = mean * rest / variance - 1
    return mean * concentration, rest * concentration


def _grid(e: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Return points (m, κ) that cover their joint posterior, with its probabilities: weight, m, κ [H]."""
    typical = max(float(np.median(n)), LEAST_TYPICAL)
    # Many small groups have few different (errors, counted): each pair is computed once.
    pairs, times = np.unique(np.stack([e, n]), axis=1, return_counts=True)
    log_posterior = partial(_log_posterior, e=pairs[0], n=pairs[1], times=times, typical=typical)
    start = np.array([logit((e.sum() + 0.5) / (n.sum() + 1)), 0.0])
    points, weight = grid(log_posterior, start, [(-30.0, 30.0), (-12.0, 12.0)])
    return weight, expit(points[0]), typical * np.exp(points[1])


def _log_posterior(point: Floats, e: Floats, n: Floats, times: Integers, typical: float) -> Floats:
    """Return the log density, less a constant, of points (logit m, log(κ / typical)): [2, ...] to [...]."""
    kappa = typical * np.exp(point[1])
    a, b = (expit(point[0]) * kappa)[..., None], (expit(-point[0]) * kappa)[..., None]
    likelihood = np.zeros(kappa.shape)
    for some in blocks(len(e), kappa.size):
        terms = betaln(a + e[some], b + (n[some] - e[some])) - betaln(a, b)  # so that b + n does not swallow b
        likelihood = likelihood + (times[some] * terms).sum(-1)
    prior_m = (log_expit(point[0]) + log_expit(-point[0])) / 2
    prior_kappa = log_expit(point[1]) + OWN_WEIGHT * log_expit(-point[1])
    return np.asarray(likelihood + prior_m + prior_kappa)
