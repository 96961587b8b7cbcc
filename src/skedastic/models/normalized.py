"""Pixels in, standardized values on: the first module of every network that reads images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalized(nn.Module):
    """A network that reads pixels, with the mean and deviation of its training images in its buffers.

    Parameters
    ----------
    net : nn.Module
        The network, which reads standardized pixels.
    mean, std : sequence of float
        Of each channel, of pixels in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).clamp_min(1e-6).view(-1, 1, 1))
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W], integers in 0..255 or reals in [0, 1], to the network's output."""
        pixels = x if x.is_floating_point() else x.to(self.mean.dtype) / 255
        out: Tensor = self.net((pixels - self.mean) / self.std)
        return out
