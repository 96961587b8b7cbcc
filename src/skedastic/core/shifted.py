"""A network whose outputs are shifted by constants, as one module, so that it is exported and run as networks are."""

from __future__ import annotations

from torch import Tensor, nn


class Shifted(nn.Module):
    """Inputs [B, ...] to outputs [B, C]: net(x) + shift.

    Parameters
    ----------
    net : nn.Module
        It gives [B, C].
    shift : Tensor
        What is added, [C].
    """

    shift: Tensor

    def __init__(self, net: nn.Module, shift: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs [B, ...] to outputs [B, C]."""
        out: Tensor = self.net(x)
        return out + self.shift
