"""The literal formulas: strengths (HAR, below equation 5) and the error rates of groups (equation 7)."""

from __future__ import annotations

import math
from collections.abc import Sequence


def strengths(noise: Sequence[float], density: Sequence[float]) -> list[float]:
    """τ_g = I_g^{3/5} q_g^{-2/5}, over the largest; 0 for a group without noise or without examples."""
    tau = []
    for i, q in zip(noise, density, strict=True):
        tau.append(i ** (3 / 5) * q ** (-2 / 5) if i > 0 and q > 0 else 0.0)
    largest = max(tau)
    return [t / largest for t in tau] if largest > 0 else tau


def wilson(successes: int, trials: int, z: float) -> tuple[float, float]:
    """Wilson (1927): the two roots p of (successes/trials − p)² = z² p (1 − p) / trials."""
    p = successes / trials
    a = 1 + z**2 / trials
    b = -2 * p - z**2 / trials
    c = p**2
    root = math.sqrt(b**2 - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def counts(
    group: Sequence[int], error: Sequence[bool], held_out: Sequence[bool], groups: int
) -> tuple[list[int], list[int], list[int]]:
    """Size, errors and held-out examples of each group, one example at a time."""
    size, errors, seen = [0] * groups, [0] * groups, [0] * groups
    for g, wrong, held in zip(group, error, held_out, strict=True):
        size[g] += 1
        if held:
            seen[g] += 1
            if wrong:
                errors[g] += 1
    return size, errors, seen


def posterior_means(
    errors: Sequence[int], held_out: Sequence[int], typical: float, own_weight: float, points: int
) -> list[float]:
    """E[p_g | all groups] by brute force: a midpoint sum over m in (0, 1) and w = κ/(κ + typical) in (0, 1).

    The prior densities in these coordinates are m^{-1/2} (1 − m)^{-1/2} and (1 − w)^{own_weight − 1}.
    """
    total, sums = 0.0, [0.0] * len(errors)
    for i in range(points):
        m = math.sin(math.pi * (i + 0.5) / (2 * points)) ** 2  # equal steps of the angle: Jeffreys' prior is flat
        for j in range(points):
            w = (j + 0.5) / points
            kappa = typical * w / (1 - w)
            a, b = m * kappa, (1 - m) * kappa
            log_density = (own_weight - 1) * math.log(1 - w)
            for e, n in zip(errors, held_out, strict=True):
                log_density += _log_beta(a + e, b + n - e) - _log_beta(a, b)
            density = math.exp(log_density)
            total += density
            for g, (e, n) in enumerate(zip(errors, held_out, strict=True)):
                sums[g] += density * (a + e) / (kappa + n)
    return [s / total for s in sums]


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
