"""Small-loss selection: the examples of a batch whose loss is smallest, for methods that leave the rest out."""

from __future__ import annotations

import torch
from torch import Tensor


def smallest(losses: Tensor, rate: float) -> Tensor:
    """Return the positions of the k smallest losses, [k], in the order of the batch: k = ⌊(1 − rate) B⌋, at least 1.

    Parameters
    ----------
    losses : Tensor
        [B]; of equal losses the first ones are taken.
    rate : float
        The share that is forgotten, in [0, 1).
    """
    kept = max(int((1 - rate) * len(losses) + 1e-9), 1)  # (1 − 0.9) · 10 is 1, and in floating point less
    return torch.argsort(losses.detach(), stable=True)[:kept].sort().values


def forget_rate(rate: float, epoch: int, gradual: float, exponent: float = 1.0) -> float:
    """Return the share to forget in an epoch: rate · min((t/T_k)^c, 1) with t the epoch.

    Source: Han et al., "Co-teaching", NeurIPS 2018, Algorithm 1 and appendix.

    Parameters
    ----------
    rate : float
        The share at last, in [0, 1).
    epoch : int
        t, counted from 0.
    gradual : float
        T_k, the epochs over which the share rises; 0 begins with `rate`.
    exponent : float
        c, above 0; 1 rises evenly.
    """
    return rate * min((epoch / gradual) ** exponent, 1.0) if gradual > 0 else rate
