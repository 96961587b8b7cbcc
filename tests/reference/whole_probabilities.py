"""What the estimate does in blocks of rows or columns, written with all n × C cells in float64 at once."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import rankdata

from skedastic.core.transitions import BEND, RIDGE


def matched_classes(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the classes predicted by one model with weights that match the counts, [n] (`matching`)."""
    share = torch.bincount(y, minlength=p.shape[1]).double() / len(y)
    scores = p.double().clamp_min(1e-12).log().masked_fill(share == 0, -torch.inf)

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = 10 * (scores + torch.from_numpy(w))
        value = z.logsumexp(1).mean() / 10 - share @ torch.from_numpy(w)
        return float(value), (z.softmax(1).mean(0) - share).numpy()

    w = minimize(objective, np.zeros(p.shape[1]), jac=True, method="L-BFGS-B").x
    return (scores + torch.from_numpy(w)).argmax(1)


def ranks(p: np.ndarray) -> np.ndarray:
    """Return the centred ranks of each column over the number of rows, [m, C] (`learned`)."""
    return (rankdata(p, axis=0) - (len(p) + 1) / 2) / len(p)


def together(scores: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the parts [m] of the evidence that scores go with labels, and its variance (`learned`, question 1)."""
    m = len(y)
    if m < 2:
        return np.zeros(m), 0.0
    share = np.bincount(y, minlength=scores.shape[1]) / m
    expected, column = scores @ share, scores.mean(0)
    parts = scores[np.arange(m), y] - expected - column[y] + column @ share
    off = scores - expected[:, None] - column + column @ share
    return parts, float(m / (m - 1) * ((off**2) @ share).sum())


def among(score: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the parts of the evidence that members [m] bool have higher scores, and its variance (`learned`)."""
    m, own = len(score), int(members.sum())
    if m < 2 or own in (0, m):
        return np.zeros(own), 0.0
    return score[members] - score.mean(), float(own * (m - own) / (m - 1) * score.var())


def confident_joint(p: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the rows of each class by label, [C, C] (`confident_joint`)."""
    classes = p.shape[1]
    mean = np.array(
        [
            [p[(y == c) & (fold == k), c].mean() if ((y == c) & (fold == k)).any() else np.inf for c in range(classes)]
            for k in range(fold.max() + 1)
        ]
    )
    above = p >= mean[fold]
    rows = np.flatnonzero(above.any(1))
    joint = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(joint, (np.where(above[rows], p[rows], -1.0).argmax(1), y[rows]), 1)
    return joint


def posterior_of_many(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return π [n, C] by the shares of wrong labels w [C] (`many_classes`)."""
    r = np.bincount(y, minlength=len(w)) / len(y)
    ratio, right = w / (1 - w + RIDGE), 1 - w + RIDGE
    p = p.astype(np.float64).clip(1e-6)
    straight = (p - (p @ ratio / (1 + r @ ratio))[:, None] * r) / right
    u = (straight + np.hypot(straight, BEND * p)) / 2
    chance = u * w * r[y][:, None]
    chance[np.arange(len(y)), y] += u[np.arange(len(y)), y] * (1 - w[y])
    return chance / chance.sum(1, keepdims=True)


def largest_shares(posterior: np.ndarray, y: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the largest share of each group's labels that are taken for wrong and one class's, [G]."""
    others = posterior.copy()
    others[np.arange(len(y)), y] = 0
    sums = np.zeros((groups, posterior.shape[1]))
    np.add.at(sums, group, others)
    return (sums / np.bincount(group, minlength=groups).clip(1)[:, None]).max(1)
