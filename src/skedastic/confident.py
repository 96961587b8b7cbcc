"""What held-out predictions are sure enough to say of a label: right, wrong, or nothing.

Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021,
section 3.1, equations 1 and 2 (the confident joint), with p_i(c) the held-out probability of class c:

    t_c = mean of p_i(c) over the examples labelled c
    example i is counted as argmax {p_i(c) : p_i(c) ≥ t_c}, and not at all where no class reaches its threshold.

A network that is young, or has seen few examples of a class, is less sure of that class and seldom predicts it; its
raw error rate there says more of that than of the labels. Each class is held against its own usual confidence instead.
`benchmarks/noise_estimate.py` shows what it gains. cleanlab's `compute_confident_joint` counts the same (tests), but
gives no class for each example, which groups other than the labels need.
"""

from __future__ import annotations

import torch
from torch import Tensor

NOT_COUNTED = -1


def confident_class(probabilities: Tensor, y: Tensor) -> Tensor:
    """Return the class that each example is confidently of, [n] int64 in 0..C-1, or -1 where there is none.

    probabilities: [n, C] held-out; NaN where an example was never held out. y: [n] labels as given, in 0..C-1.
    A class that no held-out example is labelled with is never confident.
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
