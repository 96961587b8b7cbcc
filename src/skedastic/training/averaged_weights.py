"""The moving average of a network's weights, which takes the weights' place at the end of a stage (`train.ema`)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class AveragedWeights:
    """w̄ ← d w̄ + (1 − d) w after each step, d = min(decay, (1 + t)/(10 + t)), so that the start is soon forgotten.

    The statistics of BatchNorm are averaged as the weights are, which they belong to.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; the rise of d is
    TensorFlow's.

    Parameters
    ----------
    networks : iterable of nn.Module
        The networks whose weights are trained.
    decay : float
        How much of the average stays, in (0, 1).
    """

    def __init__(self, networks: Iterable[nn.Module], decay: float) -> None:
        self.decay = decay
        self._own = list({id(t): t for network in networks for t in _reals(network)}.values())
        self.values = [tensor.detach().clone() for tensor in self._own]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after a step into the average.

        Parameters
        ----------
        step : int
            The number of the step, from 1.
        """
        torch._foreach_lerp_(self.values, self._own, 1 - min(self.decay, (1 + step) / (10 + step)))

    @torch.no_grad()
    def put(self) -> None:
        """Put the average in the place of the weights."""
        torch._foreach_copy_(self._own, self.values)

    @torch.no_grad()
    def restore(self, values: Iterable[Tensor]) -> None:
        """Take over the average that was kept."""
        torch._foreach_copy_(self.values, list(values))


def _reals(network: nn.Module) -> Iterable[Tensor]:
    """Yield the trained parameters of a network, and its buffers of real numbers."""
    yield from (p for p in network.parameters() if p.requires_grad)
    yield from (buffer for buffer in network.buffers() if buffer.is_floating_point())
