"""Small-loss selection: the examples of a batch whose loss is smallest, for methods that leave the rest out."""

from __future__ import annotations

import torch
from torch import Tensor


def smallest(losses: Tensor, rate: float) -> Tensor:
    """Return the positions [k] of the k smallest of losses [B], in the order of the batch: k = ⌊(1 − rate) B⌋, at least 1.

    rate: the share that is forgotten, in [0, 1). Of equal losses the first ones are taken.
    """
    kept = max(int((1 - rate) * len(losses) + 1e-9), 1)  # (1 − 0.9) · 10 is 1, and in floating point less
    return torch.argsort(losses.detach(), stable=True)[:kept].sort().values


def forget_rate(rate: float, epoch: int, gradual: float, exponent: float = 1.0) -> float:
    """Return the share to forget in epoch `epoch`, counted from 0: it rises to `rate` over `gradual` epochs, and stays.

    rate · min((t/T_k)^c, 1) with t the epoch (Han et al. 2018, Algorithm 1 and appendix); gradual 0 begins with `rate`.
    """
    return rate * min((epoch / gradual) ** exponent, 1.0) if gradual > 0 else rate
