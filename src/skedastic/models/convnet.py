"""A convolutional network that trains on images in minutes, without a GPU.

Three stages of two 3 × 3 convolutions with BatchNorm and ReLU, of which the first halves the sides; then the mean over
pixels, and dropout. 0.16 M parameters for ten classes, and 5.5 million multiplications for an image of 32 × 32 pixels,
where ResNet-32 takes 69. Larger images have a thin stage more, and from 96 pixels on are averaged down to 48 or a
little more first, so that an image of any size costs at most three times as much. The sizes and the settings of
training were found on photographs, garments and digits with right and with wrong labels (`benchmarks/images.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from skedastic.configurable import setting
from skedastic.models.inputs import Inputs
from skedastic.models.options import ModelOptions
from skedastic.models.refusal import check_image

SMALL = True
FOUR_STAGES = 48  # pixels of the shorter side, from which on there are four
POOLED, POOLED_TO = 96, 48  # pixels of the shorter side, from which and to which images are averaged
LEAST_SIDE = 4  # pixels, below which no stage halves a side
TINY = 16  # pixels of the shorter side, up to which threads are in each other's way
BATCH, FEW_BATCH, MANY_BATCH = 64, 32, 128
FEW_ROWS, MANY_ROWS = 2000, 10_000  # below and above which batches are smaller and larger
EPOCHS, LEAST_EPOCHS = 40, 10
ROWS_READ = 400_000  # in all epochs together, with more rows than that makes EPOCHS of


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """The size and the dropout of the network."""

    width: int = setting(
        24, "channels of the third stage from the end; the next two have twice and four times as many", "[2, inf)"
    )
    dropout: float = setting(0.2, "dropout before the last layer", "[0, 1)")


def build(input_shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return a network of stages of `width`, 2·width and 4·width channels, after one of width / 2 where sides are long.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width) with sides of at least 4 pixels.
    classes : int
        The size of the output, [B, classes].
    options : Options
        Width and dropout.

    Raises
    ------
    UserError
        The input is no image, or a smaller one.
    """
    check_image("convnet", input_shape)
    size, side = input_shape[0], min(input_shape[1:])
    layers: list[nn.Module] = []
    if side >= POOLED:
        layers.append(nn.AvgPool2d(side // POOLED_TO))
        side //= side // POOLED_TO
    channels = [options.width, 2 * options.width, 4 * options.width]
    if side >= FOUR_STAGES:
        channels = [options.width // 2, *channels]
    for out in channels:
        stride = 2 if side >= LEAST_SIDE else 1
        side = -(-side // stride)
        layers += [*_convolution(size, out, stride), *_convolution(out, out)]
        size = out
    dropout = [nn.Dropout(options.dropout)] if options.dropout else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropout, nn.Linear(size, classes))


def _convolution(size: int, out: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(size, out, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def training(inputs: Inputs, rows: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of training that suit the model: fewer epochs and larger batches of many rows.

    Parameters
    ----------
    inputs : Inputs
        The network's input.
    rows : int
        Training rows.
    options : mapping
        The options that were given.
    """
    batch = FEW_BATCH if rows < FEW_ROWS else BATCH if rows <= MANY_ROWS else MANY_BATCH
    tiny = min(inputs.shape[-2:]) <= TINY
    return {
        **({"threads": 1} if tiny else {}),
        "optimizer": "adamw",
        "lr": 0.003,
        "weight_decay": 0.05,
        "warmup": 0.2,
        "epochs": min(EPOCHS, max(LEAST_EPOCHS, ROWS_READ // max(1, rows))),
        "batch_size": batch,
        "channels_last": True,
    }
