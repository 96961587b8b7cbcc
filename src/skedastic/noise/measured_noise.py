"""The noise of each group as the disagreement of its annotators measures it, in place of an estimate.

For labels it is the mean share of votes against the label that is trained on: 1 − max_k P(Y=k|x), as annotators draw Y.
How many labels are wrong they do not tell; the same share stands for it, which is at least as large where the majority
is right more often than one of them. For ratings it is the mean variance of
the mean rating, which is trained on: s²/m of m ratings with the unbiased variance s². Intervals are normal ones over
the rows of a group.
"""

from __future__ import annotations

import torch
from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.data import Dataset

NORMAL_95 = 1.959964


def measured_stats(dataset: Dataset, disagreement: Tensor) -> GroupStats:
    """Return noise and density of each group.

    A group in which nobody can disagree gets the mean of all, and an interval that says so.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    disagreement : Tensor
        How noisy each target is by its annotators, [n]; NaN where one annotator is alone.
    """
    known = ~disagreement.isnan()
    group, values = dataset.group[known], disagreement[known].double()
    n = len(dataset.groups)
    counted = torch.bincount(group, minlength=n)
    overall = values.mean() if len(values) else torch.tensor(0.0, dtype=torch.float64)
    mean = torch.bincount(group, values, minlength=n) / counted.clamp_min(1)
    mean = torch.where(counted > 0, mean, overall)
    squares = torch.bincount(group, (values - mean[group]) ** 2, minlength=n)
    half = NORMAL_95 * (squares / (counted - 1).clamp_min(1) / counted.clamp_min(1)).sqrt()
    is_rate = dataset.target.noise_kind == "rate"
    highest = 1.0 if is_rate else float(values.max()) if len(values) else 0.0
    half = torch.where(counted > 1, half, torch.tensor(highest, dtype=torch.float64))
    errors = (mean * counted).round().long() if is_rate else None
    top = 1.0 if is_rate else float("inf")
    low, high = (mean - half).clamp_min(0), (mean + half).clamp_max(top)
    rates = (mean, low, high)
    wrong = rates if is_rate else (None, None, None)
    return GroupStats(dataset.groups, dataset.group_counts(), dataset.density(), errors, counted, *rates, *wrong)
