"""Perturbed weights and inputs, literally from the equations, one number at a time in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Gradient = Callable[[Floats], Floats]


def length(v: Floats) -> float:
    """‖v‖."""
    return math.sqrt(sum(float(x) ** 2 for x in v))


def asam(w: Floats, gradient: Gradient, bias: Sequence[bool], rho: float, eta: float) -> Floats:
    """ASAM, Algorithm 1: the gradient at w + ρ T² g/‖T g‖, with T 1 for biases."""
    g = gradient(w)
    t = np.array([1.0 if b else abs(x) + eta for x, b in zip(w, bias, strict=True)])
    norm = length(np.array([t[i] * g[i] for i in range(len(w))]))
    return gradient(np.array([w[i] + rho * t[i] ** 2 * g[i] / norm for i in range(len(w))]))


def amp(w: Floats, gradient: Gradient, epsilon: float, zeta: float, steps: int) -> Floats:
    """AMP, Algorithm 1: the gradient at w + Δ."""
    delta = np.zeros(len(w))
    for _ in range(steps):
        g = gradient(w + delta)
        for i in range(len(w)):
            delta[i] += zeta * g[i]
        norm = length(delta)
        if norm > epsilon:
            for i in range(len(w)):
                delta[i] *= epsilon / norm
    return gradient(w + delta)


def kl(p: Floats, q: Floats) -> float:
    """KL(p ‖ q) of two rows of probabilities."""
    return sum(float(a) * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))


def vat_direction(
    p: Callable[[Floats], Floats], slope: Callable[[Floats, Floats], Floats], x: Floats, start: Floats, xi: float
) -> Floats:
    """VAT, Algorithm 1, for one example: ∇_r KL(p(x) ‖ p(x + r)) at r = ξ d, normalized.

    slope(at, q): the gradient by its input of −Σ_c q_c log p_c(at).
    """
    d = start / length(start)
    found = slope(x + xi * d, p(x))
    return found / length(found)
