"""Networks that `torch.compile` made, told apart and unwrapped without its machinery, which takes a second to import."""

from __future__ import annotations

from typing import cast

from torch import nn


def is_compiled(net: nn.Module) -> bool:
    """Whether a network, or a part of it, was compiled."""
    return any(getattr(m, "_compiled_call_impl", None) is not None or hasattr(m, "_orig_mod") for m in net.modules())


def uncompiled(net: nn.Module) -> nn.Module:
    """Return the network that `torch.compile(net)` wraps; any other as it is."""
    return cast(nn.Module, getattr(net, "_orig_mod", net))
