"""The batch statistics of a forward's BatchNorm layers: noted, and taken by another forward, of a part of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

BATCH_NORM = nn.modules.batchnorm._BatchNorm


@contextmanager
def statistics_noted(net: nn.Module, noted: list[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Note the batch's mean and variance, each [C], of every BatchNorm layer that normalizes with it.

    Parameters
    ----------
    net : nn.Module
        Any network.
    noted : list of tuple of Tensor
        Gets a pair for each call of such a layer, in their order.
    """
    with ExitStack() as stack:
        for module in _batch_normalizing(net):
            before: list[tuple[Tensor, Tensor]] = []

            def keep(module: Any, inputs: Any, before: list[tuple[Tensor, Tensor]] = before) -> None:
                if _moves_plainly(module):
                    before[:] = [(module.running_mean.clone(), module.running_var.clone())]

            def note(module: Any, inputs: Any, output: Any, before: list[tuple[Tensor, Tensor]] = before) -> None:
                noted.append(_batch_statistics(module, inputs[0].detach(), before))

            stack.callback(module.register_forward_pre_hook(keep).remove)
            stack.callback(module.register_forward_hook(note).remove)
        yield


def _batch_statistics(module: Any, x: Tensor, before: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of x [B, C, ...] over all but C.

    Where the layer's running statistics r moved to (1 − m) r + m b, b is had from them; a pass over x is costly.
    """
    if not before:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, [d for d in range(x.dim()) if d != 1], correction=0)
        return mean, variance
    ((old_mean, old_variance),) = before
    m, n = module.momentum, x.numel() / x.shape[1]
    mean = (module.running_mean - (1 - m) * old_mean) / m
    return mean, (module.running_var - (1 - m) * old_variance) / m * ((n - 1) / n)


def _moves_plainly(module: Any) -> bool:
    exact = (torch.float32, torch.float64)
    return module.running_mean is not None and module.running_mean.dtype in exact and (module.momentum or 0) > 0.01


@contextmanager
def normalized_with(net: nn.Module, noted: Sequence[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Let one forward's BatchNorm layers, which must own their buffers, take these statistics, not the batch's.

    Parameters
    ----------
    net : nn.Module
        Any network.
    noted : sequence of tuple of Tensor
        As `statistics_noted` gives them.
    """
    waiting = iter(noted)
    modules = _batch_normalizing(net)

    def lend(module: nn.Module, inputs: Any) -> None:
        module._buffers["running_mean"], module._buffers["running_var"] = next(waiting)

    with ExitStack() as stack:
        for module in modules:
            module.training = False
            stack.callback(module.train)
            stack.callback(module.register_forward_pre_hook(lend).remove)
        yield


def _batch_normalizing(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if isinstance(m, BATCH_NORM) and m.training]
