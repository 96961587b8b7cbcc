"""Perturbed weights, literally from the equations, one number at a time in float64."""

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
