"""A multilayer perceptron with BatchNorm: the model for very small images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import nn

from skedastic.configurable import setting
from skedastic.models.inputs import Inputs
from skedastic.models.options import ModelOptions

SMALL = True


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """The sizes of the perceptron."""

    width: int = setting(256, "units of each hidden layer", "[1, inf)")
    depth: int = setting(3, "hidden layers (linear, BatchNorm, ReLU)", "[1, inf)")


def build(input_shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return a network of `depth` hidden layers of `width` units each.

    Parameters
    ----------
    input_shape : tuple of int
        Any; the input [B, ...] is flattened.
    classes : int
        The size of the output, [B, classes].
    options : Options
        Width and depth.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    size, width = prod(input_shape), options.width
    for _ in range(options.depth):
        layers += [nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, classes))


def training(inputs: Inputs, rows: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of training that suit the model: SGD's, on one thread.

    Parameters
    ----------
    inputs : Inputs
        The network's input.
    rows : int
        Training rows.
    options : mapping
        The options that were given.
    """
    return {"threads": 1}
