"""The weighted mean of two models' outputs as one module, so that it is exported and run as networks are."""

from __future__ import annotations

from torch import Tensor, nn


class MeanOfTwo(nn.Module):
    """Inputs [B, ...] to outputs [B, C], or numbers [B, 1]: (1 − share) first(x) + share second(x).

    Parameters
    ----------
    first, second : nn.Module
        The models; each gives [B, C], [B, 1] or [B].
    share : float
        Of the second, in [0, 1].
    """

    def __init__(self, first: nn.Module, second: nn.Module, share: float) -> None:
        super().__init__()
        self.first, self.second, self.share = first, second, share

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs [B, ...] to outputs [B, C], or to numbers [B, 1]."""
        first, second = _in_columns(self.first(x)), _in_columns(self.second(x))
        return (1 - self.share) * first + self.share * second


def _in_columns(outputs: Tensor) -> Tensor:
    """Return numbers [B] as [B, 1], others as they are."""
    return outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
