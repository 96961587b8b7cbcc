"""The slow, literal versions of what regression adds: losses, errors, and the posterior of a group's variance."""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate
from scipy.stats import chi2


def squared(a: float, y: float) -> float:
    return 0.5 * (y - a) * (y - a)


def absolute(a: float, y: float) -> float:
    return y - a if y > a else a - y


def huber(a: float, y: float, delta: float) -> float:
    r = absolute(a, y)
    return 0.5 * r * r if r <= delta else delta * (r - 0.5 * delta)


def tau(noise: list[float], density: list[float]) -> list[float]:
    """(σ²)^{2/5} q^{-2/5}, the largest 1."""
    raw = [v**0.4 * q**-0.4 for v, q in zip(noise, density, strict=True)]
    return [t / max(raw) for t in raw]


def posterior_of_precision(v: float, d: float, s0: float, d0: float) -> tuple[float, float]:
    """Mean and variance of 1/σ² given v ~ σ² χ²(d)/d and 1/σ² ~ χ²(d0)/(d0 s0), by integrating Bayes' rule."""

    def density(precision: float) -> float:
        likelihood = chi2.pdf(d * v * precision, d) * d * precision
        prior = chi2.pdf(d0 * s0 * precision, d0) * d0 * s0
        return likelihood * prior

    moments = [integrate.quad(lambda p, k=k: density(p) * p**k, 0, 60 / min(v, s0), limit=400)[0] for k in range(3)]
    mean = moments[1] / moments[0]
    return mean, moments[2] / moments[0] - mean**2


def marginal(v: float, d: float, s0: float, d0: float) -> float:
    """Density of v given (s0, d0): v / s0 has the F distribution with (d, d0) degrees of freedom."""

    def density(precision: float) -> float:
        return chi2.pdf(d * v * precision, d) * d * precision * chi2.pdf(d0 * s0 * precision, d0) * d0 * s0

    return integrate.quad(density, 0, 60 / min(v, s0), limit=400)[0]


def rmse(predicted: list[float], targets: list[float]) -> float:
    return math.sqrt(sum((p - y) ** 2 for p, y in zip(predicted, targets, strict=True)) / len(targets))


def mae(predicted: list[float], targets: list[float]) -> float:
    return sum(abs(p - y) for p, y in zip(predicted, targets, strict=True)) / len(targets)


def r2(predicted: list[float], targets: list[float]) -> float:
    mean = sum(targets) / len(targets)
    return 1 - sum((p - y) ** 2 for p, y in zip(predicted, targets, strict=True)) / sum(
        (y - mean) ** 2 for y in targets
    )


def kurtosis(residuals: np.ndarray) -> float:
    return float((residuals**4).mean() / (residuals**2).mean() ** 2)
