"""The mean of several networks' predictions as one module, so that it is exported and run as one network is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class MeanOfNetworks(nn.Module):
    """Inputs [B, ...] to the mean of several networks' predictions, as `mean_prediction` gives it.

    Parameters
    ----------
    nets : iterable of nn.Module
        The networks, at least one.
    """

    def __init__(self, nets: Iterable[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs [B, ...] to logits [B, C], or to numbers [B] or [B, 1]."""
        return mean_prediction([net(x) for net in self.nets])


def mean_prediction(outputs: Sequence[Tensor]) -> Tensor:
    """Return logits [B, C] whose softmax is the mean of several softmaxes; or the mean of numbers, [B] or [B, 1].

    Parameters
    ----------
    outputs : sequence of Tensor
        Of each network, at least one: logits [B, C] with C ≥ 2, or numbers [B] or [B, 1].
    """
    if outputs[0].dim() == 1 or outputs[0].shape[1] == 1:
        return torch.stack(list(outputs)).mean(0)
    return torch.stack([own.log_softmax(1) for own in outputs]).logsumexp(0) - math.log(len(outputs))
