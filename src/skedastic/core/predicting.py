"""A network with what is made of its outputs, as one module, so that it is exported and run as networks are."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class Predicting(nn.Module):
    """Inputs [B, ...] to predictions: predicted(net(x)).

    Parameters
    ----------
    net : nn.Module
        The network.
    predicted : callable
        From its outputs to logits [B, C], or to numbers [B].
    """

    def __init__(self, net: nn.Module, predicted: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.predicted = net, predicted

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs [B, ...] to logits [B, C], or to numbers [B]."""
        return self.predicted(self.net(x))
