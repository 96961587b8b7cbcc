"""Held-out predictions that are sure enough to say something of a label: that it is right, or wrong.

A network that is young, or has seen few examples of a class, or finds it hard, seldom predicts that class. Its raw
error rate there says more of that than of the labels. So, with p_i(c) the held-out probability of class c,

1. every class is given a weight w_c, such that each is predicted as often as it is labelled (`match_counts`), and
2. an example counts as the class that it is confidently of, if any (`confident_class`).

Source of 2: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021,
section 3.1, equations 1 and 2 (the confident joint):

    t_c = mean of p_i(c) over the examples labelled c
    example i is counted as argmax {p_i(c) : p_i(c) ≥ t_c}, and not at all where no class reaches its threshold.

Groups other than the labels need the class of each example, and not the counts alone. 1 is ours;
`benchmarks/noise_estimate.py` shows the gain of each. `joint_and_issues` is the whole of confident learning for labels,
as in cleanlab, by the authors of the paper.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

NOT_COUNTED = -1
SHARPNESS = 10.0  # of the softmax that stands for the argmax; at 3 and at 30 the estimates are much the same
LEAST = 1e-12  # probabilities below are rounded up, so that their logarithm is finite
SLACK = 1e-6  # a probability that is less by this still reaches its threshold, and still is the largest
UNREACHED = 2.0  # the threshold of a class that no label names: above every probability


def match_counts(probabilities: Tensor, y: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """Return probabilities ∝ p_i(c) exp(w_c), [n, C] float64, of which each class is the argmax as often as in `y`.

    w minimizes the convex Σ_i max_c (log p_i(c) + w_c) − Σ_c n_c w_c, the dual of the assignment of n_c examples to
    each class c, with a softmax of sharpness 10 for the max. So the counts are matched nearly, not exactly. With a
    sharpness of 1 it is the mean probability of each class that is its share of `y`. A class that no example is
    labelled with gets probability 0.

    Parameters
    ----------
    probabilities : Tensor
        Held-out class probabilities of one model, [n, C].
    y : Tensor
        The labels as given, [n] in 0..C-1.
    sharpness : float, optional
        Of the softmax, above 0.
    """
    classes = probabilities.shape[1]
    share = torch.bincount(y, minlength=classes).double() / len(y)
    scores = probabilities.double().clamp_min(LEAST).log().masked_fill(share == 0, -torch.inf)

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = sharpness * (scores + torch.from_numpy(w))
        value = z.logsumexp(1).mean() / sharpness - share @ torch.from_numpy(w)
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


def confident_class(probabilities: Tensor, y: Tensor) -> Tensor:
    """Return the class that each example is confidently of, [n] int64 in 0..C-1, or -1 where there is none.

    A class that no held-out example is labelled with is never confident.

    Parameters
    ----------
    probabilities : Tensor
        Held-out class probabilities, [n, C]; NaN where an example was never held out.
    y : Tensor
        The labels as given, [n] in 0..C-1.
    """
    p = probabilities.double()
    held_out = ~p.isnan().any(1)
    own = p[held_out, y[held_out]]
    count = torch.bincount(y[held_out], minlength=p.shape[1])
    sums = torch.zeros(p.shape[1], dtype=torch.float64).index_add(0, y[held_out], own)
    threshold = torch.where(count > 0, sums / count.clamp_min(1), torch.inf)
    reached = p >= threshold  # NaN reaches nothing
    best = torch.where(reached, p, -torch.inf).argmax(1)
    return torch.where(reached.any(1), best, NOT_COUNTED)


def joint_and_issues(p: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
    """Return the joint distribution of true and given class [true, given], and the number of label issues.

    Source: Northcutt et al., JAIR 2021. The confident joint (equations 1 and 2, above) counts examples by the class
    that they are confidently of and by their label. Equation 3 scales the counts of each label to the examples that
    have it, and divides by n. A label is an issue where it is neither the class that the example is confidently of nor
    the most probable one.

    The figures are cleanlab's, which differs from the paper in four things. Thresholds are lower by 1e-6. An example
    that reaches several is counted as its most probable class, whether or not it reaches the threshold of that one. At
    least one example of each class is counted as labelled rightly. The scaled counts are rounded to whole ones.

    Parameters
    ----------
    p : ndarray
        Held-out class probabilities, [n, C] in [0, 1], n at least 1.
    y : ndarray
        The labels as given, [n] in 0..C-1.
    """
    n, classes = p.shape
    labelled = np.bincount(y, minlength=classes)
    own = [max(p[y == c, c].mean(), 2 * SLACK) if labelled[c] else UNREACHED for c in range(classes)]
    reached = p >= np.array(own) - SLACK
    confident = reached.any(1)
    true = np.where(reached.sum(1) > 1, p.argmax(1), reached.argmax(1))
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (true[confident], y[confident]), 1)
    np.fill_diagonal(counts, counts.diagonal().clip(min=1))
    scaled = counts / counts.sum(0) * labelled
    scaled = scaled / scaled.sum() * n
    whole = np.array([_rounded(of_label) for of_label in scaled.T]).T  # products with it go by its order in memory
    favoured = p.copy()
    favoured[np.arange(n), y] += SLACK
    issues = confident & (true != y) & (favoured.argmax(1) != y)
    return whole / whole.sum(), int(issues.sum())


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round values [C] so that their sum is only rounded: those that lost or gained most are rounded the other way."""
    whole = values.round()
    missing = int(values.sum().round() - whole.sum())
    order = np.argsort(values - whole)
    if missing > 0:
        whole[order[::-1][:missing]] += 1
    else:
        whole[order[:-missing]] -= 1
    return whole
