"""A network of standardized numbers with their units put back, so that what is exported gives them as they are."""

from __future__ import annotations

from torch import Tensor, nn


class InUnits(nn.Module):
    """Inputs [B, ...] to numbers in the target's units: mean + deviation · net(x), of several outputs the first.

    Parameters
    ----------
    net : nn.Module
        Gives standardized numbers, [B], [B, 1], or [B, k] where it predicts more than the mean.
    mean, deviation : float
        Of the training targets.
    """

    def __init__(self, net: nn.Module, mean: float, deviation: float) -> None:
        super().__init__()
        self.net, self.mean, self.deviation = net, mean, deviation

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs [B, ...] to numbers, [B] or [B, 1]."""
        standardized: Tensor = self.net(x)
        standardized = standardized[:, :1] if standardized.dim() > 1 else standardized
        return self.mean + self.deviation * standardized
