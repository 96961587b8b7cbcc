"""A small convolutional network for machines without a GPU: 0.095 M parameters, a fifth of ResNet-32's, and 2.6 million
multiplications an image where that takes 69.

Three 3 × 3 convolutions of stride 2, each with BatchNorm and ReLU, and the mean over pixels.
"""

from __future__ import annotations

from torch import nn

from skedastic.models import whole
from skedastic.models.refusal import refused


def build(input_shape: tuple[int, ...], classes: int, *, width: int = 32) -> nn.Module:
    """Return a network of three strided convolutions with `width`, 2·width and 4·width channels.

    input_shape: (channels, height, width) with sides of at least 4 pixels.
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < 4:
        rule = f"it takes images [channels, height, width] of at least 4 × 4, not {list(input_shape)}; try --model mlp"
        raise refused("cnn", rule)
    layers: list[nn.Module] = []
    size = input_shape[0]
    for channels in (whole("width", width), 2 * width, 4 * width):
        layers += [
            nn.Conv2d(size, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
        size = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size, classes))
