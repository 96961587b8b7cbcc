"""Moving averages of a network's weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn


def ema_copy(net: nn.Module) -> nn.Module:
    """Return a copy of the network that is not trained, to hold the average of its weights."""
    return copy.deepcopy(net).requires_grad_(False)


@torch.no_grad()
def update_ema(mean: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the parameters of `mean` towards those of `net`: w̄ ← decay · w̄ + (1 − decay) w, in place. Buffers stay."""
    for old, new in zip(mean.parameters(), net.parameters(), strict=True):
        old.lerp_(new, 1 - decay)


def ramp_up(at: float, length: float) -> float:
    """Return exp(−5 (1 − at/length)²) for `at` in [0, length], 1 from there on: 0.007 at first (Tarvainen and Valpola 2017)."""
    return 1.0 if at >= length else math.exp(-5 * (1 - at / length) ** 2)
