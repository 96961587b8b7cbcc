"""The weighted mean of two models' outputs as one module, so that it is exported and run as networks are."""

from __future__ import annotations

from torch import Tensor, nn


class MeanOfTwo(nn.Module):
    """Rows [B, ...] to numbers [B, 1]: (1 − share) first(x) + share second(x).

    Parameters
    ----------
    first, second : nn.Module
        The models; each gives [B] or [B, 1].
    share : float
        Of the second, in [0, 1].
    """

    def __init__(self, first: nn.Module, second: nn.Module, share: float) -> None:
        super().__init__()
        self.first, self.second, self.share = first, second, share

    def forward(self, x: Tensor) -> Tensor:
        """Map rows [B, ...] to numbers [B, 1]."""
        first: Tensor = self.first(x).reshape(-1, 1)
        second: Tensor = self.second(x).reshape(-1, 1)
        return (1 - self.share) * first + self.share * second
