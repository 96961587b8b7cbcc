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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from skedastic.core.batch_statistics import normalizes_by_batch
from skedastic.core.replay import RandomState

LARGE = 1 << 20  # bytes of a tensor from which on copying it costs more than a message
OF_SHAPE = {
    *(getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "requires_grad")),
    *(Tensor.size, Tensor.dim, Tensor.__len__, Tensor.is_floating_point),
}  # what a tensor is asked, not made to do
_ACTIVE: list[Spread] = []
_gather_into = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # its name since torch 2.13


def current() -> Spread | None:
    """Return how the batches of the training under way are spread; None where one process has all of them."""
    return _ACTIVE[-1] if _ACTIVE else None


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


class Spread:
    """The processes that share every batch.

    Parameters
    ----------
    group : ProcessGroup, optional
        Torch's group of them; by default all.

    Attributes
    ----------
    rank, ranks : int
        The number of this process, and how many there are.
    factor : int
        What gradients by a process's own outputs are multiplied by.
    messages, bytes : int
        How many messages this process has told the others, and how long they were in all.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self.rank, self.ranks = dist.get_rank(group), dist.get_world_size(group)
        self.factor, self.messages, self.bytes = 1, 0, 0
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
                stack.enter_context(_SummedBatchNorm(self))
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
        self.messages, self.bytes = self.messages + 1, self.bytes + message.numel() * message.element_size()

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


class _Sum(torch.autograd.Function):
    """The sum over processes of what each goes on with."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, spread: Spread) -> Tensor:
        ctx.spread = spread
        return spread.add(value.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Sum.apply(gradient, ctx.spread), None  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, value: Tensor, *_: Any) -> Tensor:
        return ctx.spread.add(value.clone(memory_format=torch.contiguous_format))  # type: ignore[no-any-return]


class _SummedBatchNorm(TorchFunctionMode):
    """Within this context, BatchNorm normalizes by the statistics of the rows of all processes."""

    def __init__(self, spread: Spread) -> None:
        super().__init__()
        self.spread = spread

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Take the place of torch's `batch_norm` where it normalizes by the batch."""
        if function is F.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        out, mean, var, count = batch_norm(x, weight, bias, eps, self.spread)
        with torch.no_grad():
            if running_mean is not None:
                running_mean.lerp_(mean.detach().to(running_mean), momentum)
            if running_var is not None:
                running_var.lerp_((var.detach() * (count / (count - 1))).to(running_var), momentum)
        return out


def batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, spread: Spread
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what BatchNorm makes of x by the statistics of all processes' rows, these, and how many values they have.

    Parameters
    ----------
    x : Tensor
        This process's rows, [b, C, ...].
    weight, bias : Tensor or None
        γ and β, [C].
    eps : float
        Is added to the variance.
    spread : Spread
        The processes.

    Returns
    -------
    out : Tensor
        As x.
    mean, var : Tensor
        [C]; the variance is divided by the count.
    count : Tensor
        A scalar.
    """
    if forward_ad._current_level >= 0:  # dual numbers need operations that have a forward mode
        return _by_parts(x, weight, bias, eps, spread)
    return _BatchNorm.apply(x, weight, bias, eps, spread)  # type: ignore[no-any-return, no-untyped-call]


def _by_parts(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, spread: Spread
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Do what `batch_norm` does by operations of which each can be differentiated in every mode."""
    wide, dims = x.to(torch.promote_types(x.dtype, torch.float32)), _but_channels(x)
    count = spread.sum(torch.tensor(float(x.numel() // x.shape[1]), dtype=wide.dtype, device=x.device))
    mean = spread.sum(wide.sum(dims)) / count
    centred = wide - _over_channels(mean, x)
    var = spread.sum(centred.square().sum(dims)) / count
    out = centred * _over_channels((var + eps).rsqrt(), x)
    out = out if weight is None else out * _over_channels(weight, x)
    out = out if bias is None else out + _over_channels(bias, x)
    return out.to(x.dtype), mean, var, count


class _BatchNorm(torch.autograd.Function):
    """The same by torch's kernels, with one message forward and one back."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, spread: Spread
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels, wide = x.shape[1], torch.promote_types(x.dtype, torch.float32)
        dims, own_count = _but_channels(x), x.new_full((1,), float(x.numel() // channels), dtype=wide)
        own_mean = x.sum(dims, dtype=wide) / own_count
        own_var = (x - _over_channels(own_mean, x)).square_().sum(dims) / own_count
        told = spread.collected(torch.cat([own_mean, own_var, own_count])[None], [1] * spread.ranks)
        means, variances, counts = torch.split(told, [channels, channels, 1], dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        var = (counts * (variances + (means - mean).square())).sum(0) / count
        ctx.save_for_backward(x, weight, bias, mean, var, count)
        ctx.eps, ctx.spread = eps, spread
        ctx.mark_non_differentiable(mean, var, count)
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps), mean, var, count

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> Any:
        x, weight, bias, mean, var, count = ctx.saved_tensors
        if torch.is_grad_enabled():  # of the gradient a gradient will be taken
            wanted = [t for t, needed in zip((x, weight, bias), ctx.needs_input_grad[:3], strict=True) if needed]
            again = _by_parts(x, weight, bias, ctx.eps, ctx.spread)[0]
            gradients = iter(torch.autograd.grad(again, wanted, dy, create_graph=True))
            return (*(next(gradients) if needed else None for needed in ctx.needs_input_grad[:3]), None, None)
        along, straight = _sums(dy, x, mean, var, ctx.eps)
        dx = None
        if ctx.needs_input_grad[0]:
            total = ctx.spread.add(torch.stack([along, straight]))
            rstd = (var + ctx.eps).rsqrt()
            scale = rstd if weight is None else rstd * weight
            by_x = -scale * rstd * total[0] / count
            constant = -scale * total[1] / count - by_x * mean
            line = F.batch_norm(x, torch.zeros_like(mean), torch.ones_like(mean), by_x, constant, eps=0.0)
            dx = line.addcmul_(dy, _over_channels(scale, x).to(x.dtype))
        of_weight = along.to(weight.dtype) if weight is not None and ctx.needs_input_grad[1] else None
        of_bias = straight.to(bias.dtype) if bias is not None and ctx.needs_input_grad[2] else None
        return dx, of_weight, of_bias, None, None


def _sums(dy: Tensor, x: Tensor, mean: Tensor, var: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return Σ dy · x̂ and Σ dy over this process's values of each channel, [C]."""
    ones = torch.ones_like(mean)
    _, along, straight = torch.ops.aten.native_batch_norm_backward(
        dy, x, ones, mean, var, None, None, False, eps, [False, True, True]
    )
    return along, straight


def _but_channels(x: Tensor) -> list[int]:
    return [d for d in range(x.dim()) if d != 1]


def _over_channels(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (x.dim() - 2))
