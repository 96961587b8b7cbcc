"""Moving averages of a network's weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn


def ema_copy(net: nn.Module) -> nn.Module:
    """Return a copy of the network that is not trained, to hold the average of its weights.

    Parameters that are not trained, such as a frozen body's, are shared: their average is what they are.

    Parameters
    ----------
    net : nn.Module
        The network that is trained.
    """
    shared: dict[int, Any] = {id(p): p for p in net.parameters() if not p.requires_grad}
    return copy.deepcopy(net, shared).requires_grad_(False)


@torch.no_grad()
def update_ema(mean: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the parameters of `mean` towards those of `net`, in place: w̄ ← decay · w̄ + (1 − decay) w. Buffers stay.

    Shared parameters are not touched, so that nobody takes them for changed.

    Parameters
    ----------
    mean : nn.Module
        The copy that holds the average, as `ema_copy` makes it.
    net : nn.Module
        The network that is trained.
    decay : float
        How much of the average stays, in [0, 1].
    """
    for old, new in zip(mean.parameters(), net.parameters(), strict=True):
        if old is not new:
            old.lerp_(new, 1 - decay)


def ramp_up(at: float, length: float) -> float:
    """Return exp(−5 (1 − at/length)²) for `at` in [0, length], 0.007 at first, and 1 from there on.

    Source: Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017.

    Parameters
    ----------
    at : float
        The time now, in epochs, at least 0.
    length : float
        The epochs of the rise; 0 gives 1 at once.
    """
    return 1.0 if at >= length else math.exp(-5 * (1 - at / length) ** 2)
