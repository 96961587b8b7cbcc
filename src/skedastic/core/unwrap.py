"""Networks that `torch.compile` made, told apart, unwrapped and run eagerly without its machinery, slow to import."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
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


def eagerly() -> AbstractContextManager[None]:
    """Return a context in which networks run as they are, also those that were compiled; before its import none is."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
