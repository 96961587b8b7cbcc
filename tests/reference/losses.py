"""Every loss written literally from its paper: one example, one class, one term at a time, in float64.

All have the same form: f(outputs, y, count, **settings) gives the losses [B], count the examples of each class.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.reference import regression

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Count = Ints | None


TRANSITIONS = np.array([[0.6, 0.3, 0.08, 0.02], [0.02, 0.6, 0.3, 0.08], [0.08, 0.02, 0.6, 0.3], [0.3, 0.08, 0.02, 0.6]])
"""T [true, given]: not symmetric, and each label is as frequent as its class."""


def softmax(z: Floats) -> Floats:
    """exp(z_c) / Σ_k exp(z_k) of one row, over the largest so that nothing overflows."""
    powers = [math.exp(value - max(z)) for value in z]
    return np.array([power / sum(powers) for power in powers])


def each(values: Iterable[float]) -> Floats:
    return np.array(list(values), dtype=np.float64)


def cross_entropy(outputs: Floats, y: Ints | Floats, count: Count = None, *, smoothing: float) -> Floats:
    """Szegedy et al. 2016, section 7: q'(k) = (1 − ε) q(k) + ε/K, and −Σ_k q'(k) log p(k)."""
    losses = []
    for z, label in zip(outputs, y, strict=True):
        p, classes = softmax(z), len(z)
        q = [float(k == label) for k in range(classes)] if y.ndim == 1 else list(label)
        losses.append(-sum(((1 - smoothing) * q[k] + smoothing / classes) * math.log(p[k]) for k in range(classes)))
    return each(losses)


def focal(outputs: Floats, y: Ints, count: Count = None, *, gamma: float, weights: str = "outside") -> Floats:
    """Lin et al. 2017, equation 4: −(1 − p_t)^γ log p_t."""
    p = [softmax(z)[label] for z, label in zip(outputs, y, strict=True)]
    return each(-((1 - p_t) ** gamma) * math.log(p_t) for p_t in p)


def focal_of_weighted(outputs: Floats, y: Ints, gamma: float, weight: Floats) -> Floats:
    """LDAM-DRW's and ABSGD's code: ce = −w log p_t, p = exp(−ce), (1 − p)^γ ce."""
    p = [softmax(z)[label] for z, label in zip(outputs, y, strict=True)]
    entropies = [-w * math.log(p_t) for w, p_t in zip(weight, p, strict=True)]
    return each((1 - math.exp(-ce)) ** gamma * ce for ce in entropies)


def gce(outputs: Floats, y: Ints, count: Count = None, *, q: float, truncation: float) -> Floats:
    """Zhang and Sabuncu 2018, equations 6 and 9: L_q = (1 − f_y^q)/q where f_y > k, and L_q(k) where f_y ≤ k."""

    def box_cox(p: float) -> float:
        return -math.log(p) if q == 0 else (1 - p**q) / q

    p = [softmax(z)[label] for z, label in zip(outputs, y, strict=True)]
    return each(box_cox(truncation) if f <= truncation else box_cox(f) for f in p)


def sce(outputs: Floats, y: Ints, count: Count = None, *, alpha: float, beta: float, log_zero: float) -> Floats:
    """Wang et al. 2019, equation 7: α (−Σ_k q_k log p_k) + β (−Σ_k p_k log q_k), with log 0 = A and log 1 = 0."""
    losses = []
    for z, label in zip(outputs, y, strict=True):
        p = softmax(z)
        forward = -sum(math.log(p[k]) for k in range(len(z)) if k == label)
        reverse = -sum(p[k] * (0.0 if k == label else log_zero) for k in range(len(z)))
        losses.append(alpha * forward + beta * reverse)
    return each(losses)


def ldam_margins(count: Ints, margin: float) -> Floats:
    """Cao et al. 2019, equation 11: Δ_j = C / n_j^{1/4}, with C such that the largest is `margin`."""
    smallest = min(count)
    return each(margin * smallest ** (1 / 4) / n ** (1 / 4) for n in count)


def ldam(outputs: Floats, y: Ints, count: Count, *, margin: float, scale: float) -> Floats:
    """Cao et al. 2019, equation 13: −log [e^{z_y − Δ_y} / (e^{z_y − Δ_y} + Σ_{j≠y} e^{z_j})], of z times s."""
    losses = []
    for cosines, label in zip(outputs, y, strict=True):
        z = np.array(cosines)
        z[label] -= ldam_margins(count, margin)[label]
        losses.append(-math.log(softmax(scale * z)[label]))
    return each(losses)


def determinant(matrix: Floats) -> float:
    """Leibniz: Σ over permutations of sign · Π_r matrix[r, σ(r)]."""
    total = 0.0
    for order in itertools.permutations(range(len(matrix))):
        inversions = sum(a > b for a, b in itertools.combinations(order, 2))
        total += (-1) ** inversions * math.prod(matrix[row, column] for row, column in enumerate(order))
    return total


def joint(outputs: Floats, y: Ints) -> Floats:
    """U[c, k] = (1/N) Σ_i 1[y_i = c] p_i(k)."""
    u = np.zeros((outputs.shape[1],) * 2)
    for z, label in zip(outputs, y, strict=True):
        u[label] += softmax(z) / len(y)
    return u


def dmi(outputs: Floats, y: Ints, count: Count = None, *, offset: float) -> Floats:
    """Xu et al. 2019, equation 7: −log |det U|, the same for every example of the batch."""
    batch, classes = outputs.shape
    return np.full(len(y), -math.log(abs(determinant(joint(outputs, y))) + offset / batch**classes))


def poly1(outputs: Floats, y: Ints, count: Count = None, *, epsilon: float) -> Floats:
    """Leng et al. 2022, equation 5: −log P_t + ε₁ (1 − P_t)."""
    p = [softmax(z)[label] for z, label in zip(outputs, y, strict=True)]
    return each(-math.log(p_t) + epsilon * (1 - p_t) for p_t in p)


def logit_adjusted(outputs: Floats, y: Ints, count: Count, *, tau: float, target: Sequence[float] = ()) -> Floats:
    """Menon et al. 2021, equation 10: log [1 + Σ_{y'≠y} (π_{y'}/π_y)^τ exp(f_{y'} − f_y)], π shares by target."""
    prior = [n / share for n, share in zip(count, target or [1.0] * len(count), strict=True)]
    losses = []
    for f, label in zip(outputs, y, strict=True):
        rivals = [k for k in range(len(f)) if k != label]
        losses.append(math.log(1 + sum((prior[k] / prior[label]) ** tau * math.exp(f[k] - f[label]) for k in rivals)))
    return each(losses)


def balanced_softmax(outputs: Floats, y: Ints, count: Count) -> Floats:
    """Ren et al. 2020, equation 4: −log [n_y e^{η_y} / Σ_i n_i e^{η_i}]."""
    losses = []
    for eta, label in zip(outputs, y, strict=True):
        total = sum(n * math.exp(value) for n, value in zip(count, eta, strict=True))
        losses.append(-math.log(count[label] * math.exp(eta[label]) / total))
    return each(losses)


def gaussian_nll(outputs: Floats, y: Floats, count: Count = None, *, floor: float, beta: float) -> Floats:
    """Nix and Weigend 1994, equation 4: ½ ((d − y)²/σ² + ln σ²) times σ^2β, outputs (y, ln σ²), σ² in [floor, 100]."""
    losses = []
    for (mean, log_variance), target in zip(outputs, y, strict=True):
        variance = min(max(math.exp(log_variance), floor), 100.0)
        losses.append(variance**beta * 0.5 * ((target - mean) ** 2 / variance + math.log(variance)))
    return each(losses)


def squared(outputs: Floats, y: Floats, count: Count = None) -> Floats:
    return each(regression.squared(a, target) for a, target in zip(outputs, y, strict=True))


def absolute(outputs: Floats, y: Floats, count: Count = None) -> Floats:
    return each(regression.absolute(a, target) for a, target in zip(outputs, y, strict=True))


def huber(outputs: Floats, y: Floats, count: Count = None, *, delta: float) -> Floats:
    return each(regression.huber(a, target, delta) for a, target in zip(outputs, y, strict=True))


def corrected(
    outputs: Floats,
    y: Ints,
    count: Count = None,
    *,
    tau: float = 0.0,
    share: Sequence[float] = (1, 1, 1, 1),
    target: Sequence[float] = (),
) -> Floats:
    """Patrini et al. 2017, Theorem 2, and Menon et al. 2021: −log Σ_z p_z T[z, y], p of f + τ log π/π'."""
    losses, ratio = [], [a / b for a, b in zip(share, target or (1, 1, 1, 1), strict=True)]
    for z, label in zip(outputs, y, strict=True):
        p = softmax([f + tau * math.log(pi) for f, pi in zip(z, ratio, strict=True)])
        losses.append(-math.log(sum(p[k] * TRANSITIONS[k][label] for k in range(len(z)))))
    return each(losses)
