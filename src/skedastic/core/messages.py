"""What processes tell each other: sums, and the values of all, counted in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

LARGE = 1 << 20  # bytes of a tensor from which on copying it costs more than a message
_gather_into = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # its name since torch 2.13


class Messages:
    """The processes that tell each other.

    Parameters
    ----------
    group : ProcessGroup, optional
        Torch's group of them; by default all.

    Attributes
    ----------
    rank, ranks : int
        The number of this process, and how many there are.
    bytes : int
        What this process has told the others in all.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group, self.bytes = group, 0
        self.rank, self.ranks = dist.get_rank(group), dist.get_world_size(group)

    def add_all(self, tensors: Sequence[Tensor]) -> None:
        """Make tensors the sums of all processes' ones, in place; large ones are a message each, others one in all.

        Parameters
        ----------
        tensors : list of Tensor
            The same shapes in every process.
        """
        small = dict[torch.dtype, list[Tensor]]()
        for tensor in {tensor.data_ptr(): tensor for tensor in tensors}.values():  # autograd may give one twice
            if tensor.numel() * tensor.element_size() >= LARGE and tensor.is_contiguous():
                self.add(tensor)
            else:
                small.setdefault(tensor.dtype, []).append(tensor)
        for alike in small.values():
            parts = torch.split(self.add(torch.cat([t.reshape(-1) for t in alike])), [t.numel() for t in alike])
            torch._foreach_copy_(alike, [part.view_as(t) for part, t in zip(parts, alike, strict=True)])

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of a value over the processes; it can be differentiated.

        Parameters
        ----------
        value : Tensor
            Of the same shape in every process.
        """
        total: Tensor = _Sum.apply(value, self)  # type: ignore[no-untyped-call]
        return total

    def collected(self, own: Tensor, sizes: list[int]) -> Tensor:
        """Return the values of all processes, one after the other, [sum(sizes), ...].

        Parameters
        ----------
        own : Tensor
            That of this one, [sizes[rank], ...].
        sizes : list of int
            How long each is.
        """
        longest, own = max(sizes), own.contiguous()
        if len(own) < longest:
            own = torch.cat([own, own.new_zeros(longest - len(own), *own.shape[1:])])
        whole = own.new_empty(self.ranks * longest, *own.shape[1:])
        _gather_into(whole, own, group=self.group)
        self._count(own)
        if min(sizes) == longest:
            return whole
        return torch.cat([part[:size] for part, size in zip(torch.split(whole, longest), sizes, strict=True)])

    def add(self, tensor: Tensor) -> Tensor:
        """Make a tensor the sum of all processes' ones, in place, and return it.

        Parameters
        ----------
        tensor : Tensor
            Of the same shape in every process.
        """
        dist.all_reduce(tensor, group=self.group)
        self._count(tensor)
        return tensor

    def _count(self, message: Tensor) -> None:
        self.bytes += message.numel() * message.element_size()


class _Sum(torch.autograd.Function):
    """The sum over processes of what each goes on with."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, messages: Messages) -> Tensor:
        ctx.messages = messages
        return messages.add(value.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Sum.apply(gradient, ctx.messages), None  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, value: Tensor, *_: Any) -> Tensor:
        return ctx.messages.add(value.clone(memory_format=torch.contiguous_format))  # type: ignore[no-any-return]
