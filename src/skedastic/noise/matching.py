"""Held-out probabilities of which each class is predicted as often as it is labelled.

A network that is young, or has seen few examples of a class, or finds it hard, seldom predicts that class. Whether it
was learned is asked of its predictions as they are, and with a weight for each class that makes up for that.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

SHARPNESS = 10.0  # of the softmax that stands for the argmax; at 3 and at 30 the estimates are much the same
LEAST = 1e-12  # probabilities below are rounded up, so that their logarithm is finite


def match_counts(probabilities: Tensor, y: Tensor) -> Tensor:
    """Return probabilities ∝ p_i(c) exp(w_c), [n, C] float64, of which each class is the argmax as often as in `y`.

    w minimizes the convex Σ_i max_c (log p_i(c) + w_c) − Σ_c n_c w_c, the dual of the assignment of n_c examples to
    each class c, with a softmax of sharpness 10 for the max. So the counts are matched nearly, not exactly. A class
    that no example is labelled with gets probability 0.

    Parameters
    ----------
    probabilities : Tensor
        Held-out class probabilities of one model, [n, C].
    y : Tensor
        The labels as given, [n] in 0..C-1.
    """
    classes = probabilities.shape[1]
    share = torch.bincount(y, minlength=classes).double() / len(y)
    scores = probabilities.double().clamp_min(LEAST).log().masked_fill(share == 0, -torch.inf)

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = SHARPNESS * (scores + torch.from_numpy(w))
        value = z.logsumexp(1).mean() / SHARPNESS - share @ torch.from_numpy(w)
        return float(value), (z.softmax(1).mean(0) - share).numpy()

    w = minimize(objective, np.zeros(classes), jac=True, method="L-BFGS-B").x
    return (scores + torch.from_numpy(w)).softmax(1)


def matched(probabilities: Tensor, y: Tensor, fold: Tensor) -> Tensor:
    """Return `match_counts` of each model's predictions, [n, C] float64; NaN where there are none.

    Parameters
    ----------
    probabilities : Tensor
        Held-out class probabilities, [n, C].
    y : Tensor
        The labels as given, [n] in 0..C-1.
    fold : Tensor
        The model that each row was held out from, [n]; -1 where there is none.
    """
    found = torch.full(probabilities.shape, torch.nan, dtype=torch.float64)
    for k in range(int(fold.max()) + 1):
        rows = (fold == k).nonzero().flatten()
        found[rows] = match_counts(probabilities[rows], y[rows])
    return found
