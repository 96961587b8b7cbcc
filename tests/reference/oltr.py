"""OLTR's head, attention and centroid loss, one example at a time, in NumPy (Liu et al. 2019, eq. 2 to 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def softmax(z: Floats) -> Floats:
    e = np.exp(z - z.max())
    return e / e.sum()


def logits(
    x: Floats, centroids: Floats, hallucinator: tuple[Floats, Floats], selector: tuple[Floats, Floats], weight: Floats
) -> Floats:
    """Of one feature x."""
    nearest = min(np.sqrt(((x - c) ** 2).sum()) for c in centroids)
    shares = softmax(hallucinator[0] @ x + hallucinator[1])
    recalled = sum(share * c for share, c in zip(shares, centroids, strict=True))
    concept = np.tanh(selector[0] @ x + selector[1])
    meta = 10 / nearest * (x + concept * recalled)
    length = np.sqrt((meta**2).sum())
    squashed = length / (1 + length) * meta / length
    return np.array([16 * squashed @ w / np.sqrt((w**2).sum()) for w in weight])


def centroid_loss(x: Floats, y: NDArray[np.int64], centroids: Floats, margin: float) -> float:
    attract = sum(((x[i] - centroids[y[i]]) ** 2).sum() for i in range(len(x))) / 2 / len(x)
    others = sum(((x[i] - c) ** 2).sum() for i in range(len(x)) for j, c in enumerate(centroids) if j != y[i])
    return float(attract + 0.01 * max(margin - others / (len(x) * len(centroids)), 0.0))


def centroid_gradient(x: Floats, y: NDArray[np.int64], centroids: Floats, margin: float) -> Floats:
    """The authors' own, of the first term, and the second's."""
    n, classes = len(x), len(centroids)
    gradient = np.zeros_like(centroids)
    for j in range(classes):
        members = [i for i in range(n) if y[i] == j]
        gradient[j] = sum((centroids[j] - x[i] for i in members), np.zeros(x.shape[1])) / (1 + len(members)) / n
    others = sum(((x[i] - c) ** 2).sum() for i in range(n) for j, c in enumerate(centroids) if j != y[i]) / (
        n * classes
    )
    if others < margin:
        for j in range(classes):
            gradient[j] -= (
                0.01
                * sum((2 * (centroids[j] - x[i]) for i in range(n) if y[i] != j), np.zeros(x.shape[1]))
                / (n * classes)
            )
    return gradient


def attention(
    x: Floats,
    value: tuple[Floats, Floats],
    query: tuple[Floats, Floats],
    key: tuple[Floats, Floats],
    mask: Floats,
    spatial: tuple[Floats, Floats],
) -> Floats:
    """Of one example's maps [K, H, W]; value, query, key, mask: matrices of 1 × 1 convolutions."""
    k, h, w = x.shape
    places = x.reshape(k, h * w)
    v, q, s = (matrix @ places + bias[:, None] for matrix, bias in (value, query, key))
    attended = np.stack([sum(a * v[:, j] for j, a in enumerate(softmax(q[:, i] @ s))) for i in range(h * w)], axis=1)
    spread = softmax(spatial[0] @ x.reshape(-1) + spatial[1])
    return (places + (mask @ attended) * spread).reshape(k, h, w)
