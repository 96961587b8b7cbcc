"""Right and wrong numbers: a mixture of densities, held against noise alone.

Source: Box, Tiao, "A Bayesian Approach to Some Outlier Problems", Biometrika 1968 (the mixture); Vuong, "Likelihood
Ratio Tests for Model Selection and Non-Nested Hypotheses", Econometrica 1989 (the standard error of the likelihoods'
difference); Schwarz, "Estimating the Dimension of a Model", 1978 (the cost of the mixture's further parameters). Ours:

1. Residuals are in spreads of the rows that are predicted alike.
2. Noise alone is one density of one peak, Student's t with a scale on each side, in targets or in their logarithms,
   whichever is likelier: heavy tails and skewed noise, such as that of prices, are in it.
3. Beside it some targets may be wrong: the target of any other row, any number of the range, or a right one times one
   factor. Targets of few values are judged by factors alone, since many equal one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, gammaln, ndtri
from scipy.stats import gaussian_kde

from skedastic.core.choice import Gain, paired_gain
from skedastic.noise.gross_errors import ALIKE, LEAST_SPREAD, Floats

MOST_FITTED = 4000  # rows, by which densities are fitted
QUANTILES = (0.5, 0.65)  # of the sizes of residuals, whose larger spread counts; the others may be wrong
FACTORS = (2.0, 3.0, 4.0, 5.0, 10.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 10)
MOST_EQUAL = 0.15  # of the targets, above which they are of few values
START = (0.0, 0.0, 0.0, -2.5)  # peak and logarithms of both scales, in spreads; the logit of the degrees of freedom
BOUNDS = ((-5.0, 5.0), (-1.5, 4.0), (-1.5, 4.0), (-6.0, 6.0))
LEAST_FREEDOM, MOST_FREEDOM = 1.0, 60.0
OF_SHARE = (-1.5, (-7.0, -0.3))  # start and bounds of the logit of the share that is wrong
SCREENED = (0.03, 0.1, 0.2, 0.3)  # shares, at which the kinds of errors are tried first
FITTED_KINDS = 2

Density = Callable[[Floats], Floats]  # from parameters to the logarithms of densities [n]


class Kind(NamedTuple):
    """A kind of wrong targets: the logarithms of their densities, what they are, and whether right ones are in them."""

    density: Density
    said: str
    of_right: bool


class Model(NamedTuple):
    """A fitted density: its logarithm at each target, [n], how probably each is wrong, [n], and the kind of these."""

    log: Floats
    wrong: Floats
    kind: Kind | None


class Mixture(NamedTuple):
    """Right and wrong targets.

    Parameters
    ----------
    gain : Gain
        How much likelier a target is than by noise alone, in the mean, in nats.
    wrong : ndarray
        How probably each is wrong, [n] in [0, 1].
    said : str
        What wrong ones are, for the user.
    of_right : bool
        Whether they are right ones times a factor, and not any numbers.
    """

    gain: Gain
    wrong: Floats
    said: str
    of_right: bool


def mixture(predicted: Floats, y: Floats, unit: torch.Tensor | None = None) -> Mixture:
    """Return the likeliest mixture of right and wrong targets [n], and how much likelier it is than noise alone.

    Parameters
    ----------
    predicted, y : ndarray
        Held-out predictions and targets, [n].
    unit : Tensor, optional
        The unit of each row, [n] int64: rows of one may err together.
    """
    of_few_values = np.unique(y, return_counts=True)[1].max() > MOST_EQUAL * len(y)
    pairs = [_alone_and_mixed(predicted, y, logarithms=False, any_target=not of_few_values)]
    if (y >= 0).all():
        start = 0.0 if y.min() > 0 else 0.5 * _gap(y)  # that the logarithm of 0 is none
        positive = start + np.maximum(predicted, np.quantile(y, 0.001))
        pairs.append(_alone_and_mixed(positive, start + y, logarithms=True, any_target=not of_few_values))
    alone, mixed = (max(models, key=lambda model: float(model.log.sum())) for models in zip(*pairs, strict=True))
    one = torch.zeros(len(y), dtype=torch.int64)
    gain = paired_gain(torch.from_numpy(mixed.log), torch.from_numpy(alone.log), one, unit)
    cost = math.log(len(y)) / len(y)  # of a share and a kind more
    assert mixed.kind is not None, "a mixture has wrong targets"
    return Mixture(gain._replace(mean=gain.mean - cost), mixed.wrong, mixed.kind.said, mixed.kind.of_right)


def _alone_and_mixed(predicted: Floats, y: Floats, *, logarithms: bool, any_target: bool) -> tuple[Model, Model]:
    """Return noise alone, and the likeliest mixture, of targets or of their logarithms."""
    own, at = (np.log(y), np.log(predicted)) if logarithms else (y, predicted)
    residual, scale = own - at, spreads(own - at, at, own)
    jacobian = -np.log(scale) - (own if logarithms else 0.0)
    some = np.random.default_rng(0).permutation(len(y))[:MOST_FITTED]

    def right(parameters: Floats) -> Floats:
        return _two_sided_t(residual / scale, parameters) + jacobian

    def kinds() -> Iterator[Kind]:
        if any_target:
            of_all, of_range = _of_any_target(y), np.full(len(y), -math.log(np.ptp(y)))
            yield Kind(lambda _: of_all, "the target of another row", of_right=False)
            yield Kind(lambda _: of_range, "any number of the range", of_right=False)
        for factor in FACTORS:
            shifted = (residual - math.log(factor)) / scale if logarithms else (own / factor - at) / scale
            less = jacobian - (0.0 if logarithms else math.log(factor))
            said = f"{_in_words(factor)} what is predicted"
            yield Kind(partial(_of_factor, shifted, less), said, of_right=True)

    def mixed(parameters: Floats, kind: Kind) -> tuple[Floats, Floats]:
        share = expit(parameters[-1])
        wrong = np.log(share) + kind.density(parameters)
        total = np.logaddexp(np.log1p(-share) + right(parameters), wrong)
        return total, wrong - total

    def with_wrong(kind: Kind) -> Model:
        fitted = _fitted(lambda p: mixed(p, kind)[0][some], (*START, OF_SHARE[0]), (*BOUNDS, OF_SHARE[1]))
        total, wrong = mixed(fitted, kind)
        return Model(total, np.exp(wrong), kind)

    alone = Model(right(_fitted(lambda p: right(p)[some], START, BOUNDS)), np.zeros(len(y)), None)
    starts = np.array([[*START, math.log(share / (1 - share))] for share in SCREENED])
    likely = sorted(kinds(), key=lambda kind: -max(float(mixed(start, kind)[0].sum()) for start in starts))
    return alone, max(map(with_wrong, likely[:FITTED_KINDS]), key=lambda model: float(model.log.sum()))


def _fitted(log: Density, start: tuple[float, ...], bounds: tuple[tuple[float, float], ...]) -> Floats:
    """Return the likeliest parameters."""

    def cost(parameters: Floats) -> float:
        return -float(log(parameters).mean())

    found: Floats = minimize(cost, np.array(start), method="L-BFGS-B", bounds=bounds).x
    return found


def _of_factor(shifted: Floats, jacobian: Floats, parameters: Floats) -> Floats:
    """Return the logarithm of the density of targets [n] that are a right one times a factor."""
    return _two_sided_t(shifted, parameters) + jacobian


def _two_sided_t(off: Floats, parameters: Floats) -> Floats:
    """Return the logarithm of the density of Student's t with a scale on each side, at residuals [n] in spreads."""
    peak, left, right, freedom = parameters[:4]
    left, right = math.exp(left), math.exp(right)
    nu = LEAST_FREEDOM + (MOST_FREEDOM - LEAST_FREEDOM) * expit(freedom)
    z = (off - peak) / np.where(off < peak, left, right)
    constant = math.log(2 / (left + right)) + gammaln((nu + 1) / 2) - gammaln(nu / 2) - math.log(nu * math.pi) / 2
    log: Floats = constant - (nu + 1) / 2 * np.log1p(z**2 / nu)
    return log


def _of_any_target(y: Floats) -> Floats:
    """Return the logarithm of the density of all targets at each of them, [n]."""
    some = np.random.default_rng(0).permutation(y)[:MOST_FITTED]
    at = np.unique(np.quantile(y, np.linspace(0, 1, 512)))
    density = gaussian_kde(some, "silverman")(at) if len(at) > 1 else np.ones(1)
    return np.log(np.maximum(np.interp(y, at, density), np.finfo(float).tiny))


def spreads(residual: Floats, predicted: Floats, y: Floats) -> Floats:
    """Return the spread of the rows that are predicted alike, [n] > 0, by residuals that are mostly right."""
    least = max(LEAST_SPREAD * _spread(residual), 0.5 * _gap(y))
    own = np.zeros(len(y))
    for rows in np.array_split(np.argsort(predicted, kind="stable"), max(1, len(y) // ALIKE)):
        own[rows] = max(_spread(residual[rows]), least)
    return own


def _gap(y: Floats) -> float:
    """Return the usual distance of different targets that are neighbours, such as 1 of whole numbers."""
    gap = np.diff(np.unique(y))
    return float(np.median(gap)) if len(gap) else 1.0


def _spread(residual: Floats) -> float:
    """Return the deviation that normal residuals [m] of these sizes would have, of which a third may be wrong."""
    size = np.abs(residual)
    return max(float(np.quantile(size, q) / ndtri((1 + q) / 2)) for q in QUANTILES)


def _in_words(factor: float) -> str:
    return f"{factor:g} times" if factor > 1 else f"1/{1 / factor:g} of"
