"""What a layer reads while a network runs, such as the features before its head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Within this context, what `module` reads is put into the list that is yielded, call after call."""
    kept: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        yield kept
    finally:
        hook.remove()
