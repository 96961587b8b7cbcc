"""TabM's members, each as a network of its own: weights diag(s_m) W diag(r_m), one row after the other in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def layer(x: Floats, w: Floats, r: Floats, s: Floats, b: Floats) -> Floats:
    """Return s ∘ W(r ∘ x) + b of a row x [d], for W [d', d]."""
    return np.array([s[i] * sum(w[i, j] * r[j] * x[j] for j in range(len(x))) + b[i] for i in range(len(b))])


def features(x: Floats, layers: list[tuple[Floats, Floats, Floats, Floats]], eps: float) -> Floats:
    """Return the features of a member with layers (W, r, s, b), each with a new BatchNorm and a ReLU."""
    for w, r, s, b in layers:
        x = np.maximum(layer(x, w, r, s, b) / np.sqrt(1 + eps), 0)
    return x
