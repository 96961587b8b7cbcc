"""A multilayer perceptron with BatchNorm: the model for tables and very small images."""

from __future__ import annotations

from math import prod

from torch import nn

from skedastic.models import whole


def build(input_shape: tuple[int, ...], classes: int, *, width: int = 256, depth: int = 3) -> nn.Module:
    """Return a network of `depth` hidden layers (linear, BatchNorm, ReLU) of `width` units each.

    input_shape: any; the input [B, ...] is flattened. classes: the size of the output [B, classes].
    """
    layers: list[nn.Module] = [nn.Flatten()]
    size = prod(input_shape)
    for _ in range(whole("depth", depth)):
        layers += [nn.Linear(size, whole("width", width)), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, classes))
