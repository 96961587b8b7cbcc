"""ASAM, AMP and VAT, literally, on one vector of parameters or one input, in NumPy and double precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Gradient = Callable[[Vector], Vector]


def asam_gradient(w: Vector, gradient: Gradient, rho: float, eta: float) -> Vector:
    """Kwon et al. 2021, Algorithm 1: the gradient at w + ρ T² g/‖T g‖."""
    g, t = gradient(w), np.abs(w) + eta
    length = np.sqrt(sum((t[k] * g[k]) ** 2 for k in range(len(w))))
    return gradient(np.array([w[k] + rho * t[k] ** 2 * g[k] / length for k in range(len(w))]))


def amp_gradient(w: Vector, gradient: Gradient, epsilon: float, inner_lr: float, steps: int) -> Vector:
    """Zheng et al. 2021, Algorithm 1: the gradient at w + Δ."""
    delta = np.zeros_like(w)
    for _ in range(steps):
        delta = delta + inner_lr * gradient(w + delta)
        if np.sqrt((delta**2).sum()) > epsilon:
            delta = epsilon * delta / np.sqrt((delta**2).sum())
    return gradient(w + delta)


def softmax(z: Vector) -> Vector:
    e = np.exp(z - z.max())
    return e / e.sum()


def vat_direction(weight: Vector, bias: Vector, x: Vector, d: Vector, xi: float, epsilon: float) -> Vector:
    """Miyato et al. 2018, eq. 6 to 8, of logits W x + b: ∇_r D(p(x), p(x + r)) is W^T (p(x + r) − p(x))."""
    d = d / np.sqrt((d**2).sum())
    p = softmax(weight @ x + bias)
    g = weight.T @ (softmax(weight @ (x + xi * d) + bias) - p)
    return epsilon * g / np.sqrt((g**2).sum())


def kullback_leibler(p: Vector, q: Vector) -> float:
    return float(sum(p[c] * (np.log(p[c]) - np.log(q[c])) for c in range(len(p))))
