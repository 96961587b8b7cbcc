"""The classes of held-out predictions where each class is predicted as often as it is labelled.

A network that is young, or has seen few examples of a class, or finds it hard, seldom predicts that class. Whether it
was learned is asked of its predictions as they are, and with a weight for each class that makes up for that.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from skedastic.noise.blocks import blocks

SHARPNESS = 10  # of the softmax that stands for the argmax; at 3 and at 30 the estimates are much the same
LEAST = 1e-12  # probabilities below are rounded up, so that their logarithm is finite
TINY = 1e-300


def class_weights(probabilities: Tensor, y: Tensor) -> Tensor:
    """Return weights w, [C] float64, with which each class is the argmax of log p_i(c) + w_c as often as in `y`.

    w minimizes the convex Σ_i max_c (log p_i(c) + w_c) − Σ_c n_c w_c, the dual of the assignment of n_c examples to
    each class c, with a softmax of sharpness 10 for the max. So the counts are matched nearly, not exactly. A class
    that no example is labelled with has the weight −∞.

    The softmax is of p¹⁰ exp(10 w), and p¹⁰ takes four products: no power or logarithm is taken of n · C cells, and
    nothing of that size is kept.

    Parameters
    ----------
    probabilities : Tensor
        Held-out class probabilities of one model, [n, C].
    y : Tensor
        The labels as given, [n] in 0..C-1.
    """
    n, classes = probabilities.shape
    share = torch.bincount(y, minlength=classes).double() / n
    absent = share == 0

    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.from_numpy(values)
        top = w[~absent].max()
        weight = (SHARPNESS * (w - top)).exp().masked_fill(absent, 0)
        value, mean = 0.0, torch.zeros(classes, dtype=torch.float64)
        for rows in blocks(n, classes):
            sharp = _sharpened(probabilities[rows])
            total = (sharp @ weight).clamp_min(TINY)
            value += float(total.log().sum())
            mean += total.reciprocal() @ sharp
        value = value / n / SHARPNESS + float(top - share @ w)
        return value, (mean * weight / n - share).numpy()

    w = torch.from_numpy(minimize(objective, np.zeros(classes), jac=True, method="L-BFGS-B").x)
    return w.masked_fill(absent, -torch.inf)


def matched(probabilities: Tensor, y: Tensor, fold: Tensor) -> Tensor:
    """Return the predicted classes with each model's `class_weights`, [n] int32; -1 where there are no predictions.

    Parameters
    ----------
    probabilities : Tensor
        Held-out class probabilities, [n, C].
    y : Tensor
        The labels as given, [n] in 0..C-1.
    fold : Tensor
        The model that each row was held out from, [n]; -1 where there is none.
    """
    found = torch.full((len(y),), -1, dtype=torch.int32)
    for k in range(int(fold.max()) + 1):
        rows = (fold == k).nonzero().flatten()
        if not len(rows):
            continue
        own = probabilities if len(rows) == len(y) else probabilities[rows]
        w = class_weights(own, y[rows])
        for part in blocks(*own.shape):
            found[rows[part]] = (own[part].double().clamp_min_(LEAST).log_() + w).argmax(1).int()
    return found


def _sharpened(p: Tensor) -> Tensor:
    """Return p¹⁰, [m, C] float64."""
    square = p.double().clamp_min(LEAST).square_()
    return square.square().square_().mul_(square)
