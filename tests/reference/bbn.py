"""BBN, literally from its equations, one example at a time in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def alpha(epoch: int, epochs: int) -> float:
    """Equation 3."""
    return 1 - (epoch / epochs) * (epoch / epochs)


def cross_entropy(z: Floats, y: int) -> float:
    """−log softmax(z)_y of logits z [C]."""
    shifted = z - z.max()
    return float(np.log(sum(np.exp(v) for v in shifted)) - shifted[y])


def logits(a: float, w_c: Floats, f_c: Floats, w_r: Floats, f_r: Floats, bias: Floats) -> Floats:
    """Equation 1 (and the bias that the authors' classifier has): z = α W_c f_c + (1 − α) W_r f_r + b, [C]."""
    return np.array(
        [
            a * sum(w_c[c, j] * f_c[j] for j in range(len(f_c)))
            + (1 - a) * sum(w_r[c, j] * f_r[j] for j in range(len(f_r)))
            + bias[c]
            for c in range(len(bias))
        ]
    )


def loss(
    a: float,
    heads: tuple[Floats, Floats, Floats],
    features: tuple[Floats, Floats],
    labels: tuple[list[int], list[int]],
) -> float:
    """The mean over B pairs of α ℓ(z, y_c) + (1 − α) ℓ(z, y_r); heads: W_c, W_r [C, d], bias; features: each [B, d]."""
    w_c, w_r, bias = heads
    total = 0.0
    for f_c, f_r, y_c, y_r in zip(*features, *labels, strict=True):
        z = logits(a, w_c, f_c, w_r, f_r, bias)
        total += a * cross_entropy(z, y_c) + (1 - a) * cross_entropy(z, y_r)
    return total / len(features[0])
