"""VAT, literally, for logits W x + b of one input, in NumPy and double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


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
