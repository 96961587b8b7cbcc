"""The noise variance of each group of regression targets, with an interval, from few held-out residuals.

A group with two held-out examples has hardly a variance of its own. So the groups inform each other, as in the model
of Smyth, "Linear models and empirical Bayes methods for assessing differential expression", 2004 (section 3, limma):

    v_g | σ²_g ~ σ²_g χ²(d_g) / d_g,   1 / σ²_g ~ χ²(d_0) / (d_0 s²_0),

v_g being the mean of the squared residuals. Its posterior has d_0 + d_g degrees of freedom about
(d_0 s²_0 + d_g v_g) / (d_0 + d_g). Two things differ from there. Residuals of a network have heavy tails, so that
n_g examples are worth d_g = 2 n_g / (κ − 1) degrees, κ the kurtosis of residuals within groups (3, and d_g = n_g,
where they are normal; the variance of v_g is then matched). And (s²_0, d_0) are averaged over (`hierarchy`) rather than
plugged in; 1 / σ²_g is given the Gamma distribution with the mean and variance of the averaged posterior.

The weak priors: log s²_0 uniform; d_0 / (d_0 + D) ~ Beta(1, 5), D the median of d_g (at least 10).

The mean square of held-out residuals is estimated: the noise, and the error of the model that they come from.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, gammaln, log_expit

from skedastic.errors import UserError
from skedastic.noise.hierarchy import Floats, grid

OWN_WEIGHT = 5.0  # d_0 / (d_0 + D) ~ Beta(1, OWN_WEIGHT)
LEAST_TYPICAL = 10.0
LEAST_KURTOSIS, MOST_KURTOSIS = 1.5, 50.0
NORMAL_EXAMPLES = 50.0  # the weight of the kurtosis of a normal distribution, in examples
LEAST_QUANTILE = 1e-9  # of a precision's mean: intervals end somewhere


def group_variance(
    residuals: ArrayLike, group: ArrayLike, groups: int, *, shrink: bool = True, level: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Return the variance of the residuals of each group, and the ends of its interval: three arrays [G].

    With `shrink` it is that of the posterior of the model above: 1 / E[1/σ²], above 0 unless all residuals are 0. A
    group with nothing held out gets the variance that is expected of any group. A single group stands alone.

    Without it, it is the mean square, with the interval of the χ² distribution. A group with nothing held out gets the
    mean square over all, and an interval from 0 to the largest square.

    Parameters
    ----------
    residuals : ArrayLike
        Held-out target less prediction, [m], finite.
    group : ArrayLike
        The group of each, [m] integers in 0..G-1.
    groups : int
        G, at least 1.
    shrink : bool, optional
        Whether the groups inform each other.
    level : float, optional
        The probability that the interval holds the true variance, in (0, 1).

    Raises
    ------
    UserError
        Shapes differ, there is no group, a residual is not finite, or a group is out of its range.
    """
    r, g = _checked(residuals, group, groups, level)
    largest = float(np.abs(r).max(initial=0.0))
    if largest == 0:
        return np.zeros(groups), np.zeros(groups), np.zeros(groups)
    squares = (r / largest) ** 2
    n = np.bincount(g, minlength=groups).astype(np.float64)
    v = np.bincount(g, squares, minlength=groups) / np.maximum(n, 1)
    d = np.where(n > 0, np.maximum(2 * n / (kurtosis(squares, g, groups) - 1), 1), 0)
    pooled = float(squares.mean())
    tails = ((1 - level) / 2, (1 + level) / 2)
    if shrink and (n > 0).sum() > 1:
        shape, precision = _averaged_posterior(v / pooled, d)
        precision = precision / pooled
    else:
        shape, precision = d / 2, 1 / np.where(v > 0, v, pooled)
        if shrink:
            shape = np.where(n > 0, shape, shape.max())
    with np.errstate(divide="ignore"):
        high, low = (1 / np.maximum(precision * _quantile(shape, t), LEAST_QUANTILE * precision) for t in tails)
    variance = 1 / precision
    if not shrink:
        variance, low = np.where(n > 0, v, pooled), np.where((n > 0) & (v > 0), low, 0.0)
        high = np.where(n > 0, high, 1.0)
    low, high = np.minimum(low, variance), np.maximum(high, variance)
    return largest**2 * variance, largest**2 * low, largest**2 * high


def kurtosis(squares: Floats, group: np.ndarray, groups: int) -> float:
    """Return E r⁴ / (E r²)² within groups, from r² [m]; 3 for a normal distribution, whatever the groups' variances.

    With S_g = Σ r⁴ / (Σ r²)², n S_g estimates the one and n (1 − S_g) / (n − 1) the other without bias, both relative
    to the group's own mean square. In few examples it is near 3.
    """
    n = np.bincount(group, minlength=groups)
    total, total_squares = (np.bincount(group, squares**k, minlength=groups) for k in (1, 2))
    usable = (n > 1) & (total_squares > 0)
    n, share = n[usable].astype(np.float64), total_squares[usable] / total[usable] ** 2
    fourth = (n * n * share).sum() + 3 * NORMAL_EXAMPLES
    square = (n * n * (1 - share) / (n - 1)).sum() + NORMAL_EXAMPLES
    return float(np.clip(fourth / square, LEAST_KURTOSIS, MOST_KURTOSIS))


def _checked(residuals: ArrayLike, group: ArrayLike, groups: int, level: float) -> tuple[Floats, np.ndarray]:
    r, g = np.asarray(residuals, dtype=np.float64), np.asarray(group)
    if r.ndim != 1 or r.shape != g.shape or groups < 1:
        shapes = f"{list(r.shape)} and {list(g.shape)} and {groups} groups"
        rule = "residuals and group must both be [m], and there must be a group"
        raise UserError(rule, setting="group_variance", value=shapes, given=f"group_variance: got shapes {shapes}")
    if not np.isfinite(r).all():
        place = int((~np.isfinite(r)).argmax())
        raise UserError("must be finite", setting=f"group_variance: residuals[{place}]", value=float(r[place]))
    if len(g) and (g.min() < 0 or g.max() >= groups):
        wrong = g.min() if g.min() < 0 else g.max()
        raise UserError(f"groups are numbered 0..{groups - 1}", setting="group_variance: group", value=wrong)
    if not 0 < level < 1:
        raise UserError("must be in (0, 1), for instance 0.95", setting="group_variance: level", value=level)
    return r, g.astype(np.int64)


def _quantile(shape: Floats, probability: float) -> Floats:
    """Return the quantile of a Gamma distribution of mean 1."""
    return np.asarray(gammaincinv(np.maximum(shape, 1e-3), probability) / np.maximum(shape, 1e-3))


def _averaged_posterior(v: Floats, d: Floats) -> tuple[Floats, Floats]:
    """Return shape [G] and mean [G] of the Gamma distribution nearest to each group's posterior of 1 / σ²."""
    typical = max(float(np.median(d[d > 0])), LEAST_TYPICAL)
    log_posterior = partial(_log_posterior, v=v[d > 0], d=d[d > 0], typical=typical)
    points, weight = grid(log_posterior, np.array([0.0, 0.0]), [(-40.0, 40.0), (-14.0, 12.0)])
    s0, d0 = np.exp(points[0])[:, None], typical * np.exp(points[1])[:, None]
    shapes = (d0 + d) / 2  # [H, G]
    means = (d0 + d) / (d0 * s0 + d * v)
    mean = weight @ means
    variance = weight @ (means**2 / shapes + (means - mean) ** 2)
    return mean**2 / variance, mean


def _log_posterior(point: Floats, v: Floats, d: Floats, typical: float) -> Floats:
    """Return the log density, less a constant, of points (log s²_0, log(d_0 / typical)): [2, ...] to [...]."""
    s0, d0 = np.exp(point[0])[..., None], (typical * np.exp(point[1]))[..., None]
    likelihood = (
        gammaln((d0 + d) / 2) - gammaln(d0 / 2) + d0 / 2 * np.log(d0 * s0) - (d0 + d) / 2 * np.log(d0 * s0 + d * v)
    )
    prior = log_expit(point[1]) + OWN_WEIGHT * log_expit(-point[1])
    return np.asarray(likelihood.sum(-1) + prior)
