"""Networks that `torch.compile` made, told apart and unwrapped without its machinery, which is slow to import."""

from __future__ import annotations

from typing import cast

from torch import nn


def is_compiled(net: nn.Module) -> bool:
    """Return whether a network, or a part of it, was compiled.

    Parameters
    ----------
    net : nn.Module
        Any network.
    """
    return any(m._compiled_call_impl is not None or "_orig_mod" in m._modules for m in net.modules())


def uncompiled(net: nn.Module) -> nn.Module:
    """Return the network that `torch.compile(net)` wraps; any other as it is.

    Parameters
    ----------
    net : nn.Module
        Any network.
    """
    return cast(nn.Module, getattr(net, "_orig_mod", net))
