"""A batch spread over processes: each runs the network on its own rows, and all go on with the outputs of all rows.

What surrounds a network, the loss, the weights of examples, moving averages, the choice of small losses, is computed by
every process on the whole batch. So a method needs to know nothing of processes, and what it computes is what one
process computes. Only three things cross: the rows of a batch are cut on their way into a network, its outputs are
gathered on their way out, and BatchNorm sums its statistics over all processes on the way.

Gradients. Behind `gather` every process holds the same loss. Its gradient by a process's own outputs is a slice of the
gradient that the process has anyway, so that nothing is sent. A parameter's gradient is then, of what ran on rows, one
part of a sum over processes, and, of what ran on the whole batch, the whole in each. Both are one sum once the loss is
divided by the number of processes and the slices are multiplied by it: `counted` does that. Without it, gradients by
activations are what they are. This is the pair of operators of Korthikanti et al. ("Reducing Activation Recomputation
in Large Transformer Models", 2022), for networks that are whole in every process.

Random numbers that a network draws, such as dropout's, are other ones in every process; those drawn outside are the
same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from skedastic.core.batch_statistics import normalizes_by_batch
from skedastic.core.messages import Messages
from skedastic.core.replay import RandomState
from skedastic.core.summed_batch_norm import SummedBatchNorm

OF_SHAPE = {
    *(getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "requires_grad")),
    *(Tensor.size, Tensor.dim, Tensor.__len__, Tensor.is_floating_point),
}  # what a tensor is asked, not made to do
_ACTIVE: list[Spread] = []
_MANAGED: list[bool] = []


def current() -> Spread | None:
    """Return how the batches of the training under way are spread; None where one process has all of them."""
    return _ACTIVE[-1] if _ACTIVE else None


@contextmanager
def managed() -> Iterator[None]:
    """Within this context what is computed of a batch needs no other process: it is whole in each, or spread."""
    _MANAGED.append(True)
    try:
        yield
    finally:
        _MANAGED.pop()


def is_managed() -> bool:
    """Return whether skedastic trains in these processes, and not a loop of the user's with batches of their own."""
    return bool(_MANAGED)


class OwnRows(Tensor):
    """The inputs of a batch, [B, ...], of which a process has read its own rows, [b, ...], alone.

    A spread network takes these. Whatever else is done with the inputs, such as mixing them, is done with those of all
    rows, which are gathered then.

    Parameters
    ----------
    own : Tensor
        The rows of this process.
    batch : int
        B.
    spread : Spread
        The processes.
    """

    own: Tensor
    spread: Spread

    @staticmethod
    def __new__(cls, own: Tensor, batch: int, spread: Spread) -> OwnRows:
        """Return inputs that are read in part."""
        rows = Tensor._make_wrapper_subclass(cls, (batch, *own.shape[1:]), dtype=own.dtype, device=own.device)
        rows.own, rows.spread = own, spread
        return rows

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Answer what is asked of shape and type; do all else with the inputs of all rows."""
        if function in OF_SHAPE:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **(kwargs or {}))
        return cls.__torch_dispatch__(function, types, args, kwargs)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Do it with the inputs of all rows."""
        whole = pytree.tree_map_only(cls, lambda rows: rows.spread.gather(rows.own, len(rows)), (args, kwargs or {}))
        return func(*whole[0], **whole[1])


class Spread(Messages):
    """The processes that share every batch.

    Parameters
    ----------
    group : ProcessGroup, optional
        Torch's group of them; by default all.

    Attributes
    ----------
    factor : int
        What gradients by a process's own outputs are multiplied by.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        super().__init__(group)
        self.factor = 1
        self._inside = 0  # how many spread networks are being run, one in another
        self._sizes: list[int] | None = None
        self._leaving = ExitStack()

    def __deepcopy__(self, memo: dict[int, Any]) -> Spread:
        """Return itself: a network that is copied is run by the same processes."""
        return self

    def sizes(self, batch: int) -> list[int] | None:
        """Return how many rows of a batch each process has; None where they are too few, and all have all.

        Parameters
        ----------
        batch : int
            The number of examples.
        """
        if batch < self.ranks:
            return None
        return [batch // self.ranks + (rank < batch % self.ranks) for rank in range(self.ranks)]

    def rows(self, batch: int) -> slice:
        """Return this process's rows of a batch.

        Parameters
        ----------
        batch : int
            The number of examples.
        """
        sizes = self.sizes(batch)
        return slice(batch) if sizes is None else self._slice(sizes)

    def _slice(self, sizes: list[int]) -> slice:
        start = sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    @contextmanager
    def over(self, networks: Iterable[nn.Module]) -> Iterator[None]:
        """Within this context, each of these networks is run on this process's rows of what it is given.

        Parameters
        ----------
        networks : iterable of nn.Module
            Networks that take examples first.
        """
        with ExitStack() as stack:
            for network in networks:
                stack.callback(network.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                stack.callback(network.register_forward_hook(self._leave, always_call=True).remove)
            _ACTIVE.append(self)
            stack.callback(_ACTIVE.pop)
            yield

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Within this context, the sum over processes of the gradients of loss / ranks is the gradient."""
        before, self.factor = self.factor, self.ranks
        try:
            yield
        finally:
            self.factor = before

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within this context, a network is run on what it is given, which is this process's own."""
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @contextmanager
    def running(self, net: nn.Module) -> Iterator[None]:
        """Within this context, a network runs on this process's rows: BatchNorm normalizes by all, dropout has its own.

        Parameters
        ----------
        net : nn.Module
            The network.
        """
        with ExitStack() as stack:
            stack.enter_context(self.alone())
            if net.training:
                stack.enter_context(self._drawing_apart(net))
            if net.training or normalizes_by_batch(net):  # be it a module or not
                stack.enter_context(SummedBatchNorm(self))
            yield

    def gather(self, own: Tensor, batch: int) -> Tensor:
        """Return a value of all examples, [B, ...], from that of this process's rows.

        Parameters
        ----------
        own : Tensor
            Of its rows, [b, ...].
        batch : int
            B.
        """
        sizes = self.sizes(batch)
        if sizes is None:
            return own
        gathered: Tensor = _Gather.apply(own, self, sizes)  # type: ignore[no-untyped-call]
        return gathered

    def own(self, whole: Tensor) -> Tensor:
        """Return the entries of a value, [B, ...], that are of this process's rows, [b, ...].

        Parameters
        ----------
        whole : Tensor
            Of all examples; the same in every process.
        """
        sizes = self.sizes(len(whole))
        if isinstance(whole, OwnRows):
            return whole.own
        if sizes is None:
            return whole
        if not whole.requires_grad:
            return whole[self._slice(sizes)]
        own: Tensor = _Own.apply(whole, self, sizes)  # type: ignore[no-untyped-call]
        return own

    def total(self, part: Tensor) -> Tensor:
        """Return the sum of what every process has a part of, a scalar that all go on with.

        Parameters
        ----------
        part : Tensor
            This process's part, a scalar.
        """
        parts: Tensor = _Gather.apply(part[None], self, [1] * self.ranks)  # type: ignore[no-untyped-call]
        return parts.sum()

    def own_of(self, inputs: Any, batch: int) -> Any:
        """Return this process's rows of a network's inputs; what has no row for each example stays as it is.

        Parameters
        ----------
        inputs : Any
            Tensors, in tuples, mappings and the like.
        batch : int
            B.
        """
        return pytree.tree_map_only(Tensor, lambda t: self.own(t) if t.dim() and len(t) == batch else t, inputs)

    def _enter(self, net: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Before a network runs: cut its rows, and draw apart."""
        self._inside += 1
        if self._inside > 1:
            return None
        tensors = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.dim()]
        batch = len(tensors[0])
        self._sizes = self.sizes(batch)
        if self._sizes is None:
            return None
        self._leaving.enter_context(self.running(net))
        return self.own_of((args, kwargs), batch)

    def _leave(self, net: nn.Module, args: Any, output: Any) -> Any:
        """After a network ran, or failed: gather its outputs."""
        if self._inside == 1 + (self._sizes is not None):
            sizes, self._sizes = self._sizes, None
            self._leaving.close()
            self._inside -= 1
            if sizes is not None and output is not None:
                return pytree.tree_map_only(Tensor, lambda t: self.gather(t, sum(sizes)) if t.dim() else t, output)
            return None
        self._inside -= 1
        return None

    @contextmanager
    def _drawing_apart(self, net: nn.Module) -> Iterator[None]:
        """Draw random numbers of this process's own; those after it are the same in all processes again."""
        before = RandomState.now(net)
        torch.manual_seed(_mixed(before, self.rank))
        begun = RandomState.now(net)
        try:
            yield
        finally:
            drew = begun.moved
            before.put()
            if drew:  # else the next draws would be these again
                torch.rand(1)
                if before.device.type != "cpu":
                    torch.rand(1, device=before.device)


def _mixed(state: RandomState, rank: int) -> int:
    """Return a seed from the state of the random generators and the number of a process."""
    known = state.cpu if state.on_device is None else torch.cat([state.cpu, state.on_device])
    digest = hashlib.blake2b(known.numpy().tobytes(), digest_size=7, salt=rank.to_bytes(8))
    return int.from_bytes(digest.digest())


class _Gather(torch.autograd.Function):
    """From a value of this process's rows to that of all."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, spread: Spread, sizes: list[int]) -> Tensor:
        ctx.spread, ctx.sizes = spread, sizes
        return spread.collected(own, sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        own: Tensor = _Own.apply(gradient, ctx.spread, ctx.sizes)  # type: ignore[no-untyped-call]
        return own * ctx.spread.factor, None, None

    @staticmethod
    def jvp(ctx: Any, own: Tensor, *_: Any) -> Tensor:
        return ctx.spread.collected(own, ctx.sizes)  # type: ignore[no-any-return]


class _Own(torch.autograd.Function):
    """From a value of all rows to that of this process's."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, spread: Spread, sizes: list[int]) -> Tensor:
        ctx.spread, ctx.sizes = spread, sizes
        return whole[spread._slice(sizes)].clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        whole: Tensor = _Gather.apply(gradient, ctx.spread, ctx.sizes)  # type: ignore[no-untyped-call]
        return whole / ctx.spread.factor, None, None

    @staticmethod
    def jvp(ctx: Any, whole: Tensor, *_: Any) -> Tensor:
        return whole[ctx.spread._slice(ctx.sizes)].clone()
