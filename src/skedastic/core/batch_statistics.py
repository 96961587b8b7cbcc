"""Whether the examples of a batch meet in a network."""

from __future__ import annotations

from torch import nn

BATCH_NORM = nn.modules.batchnorm._BatchNorm


def normalizes_by_batch(net: nn.Module) -> bool:
    """Return whether a BatchNorm layer normalizes with the statistics of the batch, as they do in training mode.

    Then the loss of each example depends on all others, and a forward of some of them is no part of the batch's. A
    layer without running statistics does so in evaluation mode too.

    Parameters
    ----------
    net : nn.Module
        Any network.
    """
    return any(isinstance(m, BATCH_NORM) and (m.training or m.running_mean is None) for m in net.modules())
