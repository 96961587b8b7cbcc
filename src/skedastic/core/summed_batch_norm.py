"""BatchNorm of a batch that is spread over processes: its statistics are those of the rows of all.

torch's SyncBatchNorm needs CUDA, replaces modules, and can't be differentiated twice. This takes the place of
`F.batch_norm` while a network runs: by torch's kernels, with one message forward and one back, and by operations that
can be differentiated in every mode where a gradient of a gradient, or dual numbers, are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from skedastic.core.messages import Messages


class SummedBatchNorm(TorchFunctionMode):
    """Within this context, BatchNorm normalizes by the statistics of the rows of all processes."""

    def __init__(self, messages: Messages) -> None:
        super().__init__()
        self.messages = messages

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
        out, mean, var, count = batch_norm(x, weight, bias, eps, self.messages)
        with torch.no_grad():
            if running_mean is not None:
                running_mean.lerp_(mean.detach().to(running_mean), momentum)
            if running_var is not None:
                running_var.lerp_((var.detach() * (count / (count - 1))).to(running_var), momentum)
        return out


def batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, messages: Messages
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
    messages : Messages
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
        return _by_parts(x, weight, bias, eps, messages)
    return _BatchNorm.apply(x, weight, bias, eps, messages)  # type: ignore[no-any-return, no-untyped-call]


def _by_parts(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, messages: Messages
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Do what `batch_norm` does by operations of which each can be differentiated in every mode."""
    wide, dims = x.to(torch.promote_types(x.dtype, torch.float32)), _but_channels(x)
    count = messages.sum(torch.tensor(float(x.numel() // x.shape[1]), dtype=wide.dtype, device=x.device))
    mean = messages.sum(wide.sum(dims)) / count
    centred = wide - _over_channels(mean, x)
    var = messages.sum(centred.square().sum(dims)) / count
    out = centred * _over_channels((var + eps).rsqrt(), x)
    out = out if weight is None else out * _over_channels(weight, x)
    out = out if bias is None else out + _over_channels(bias, x)
    return out.to(x.dtype), mean, var, count


class _BatchNorm(torch.autograd.Function):
    """The same by torch's kernels, with one message forward and one back."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, messages: Messages
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels, wide = x.shape[1], torch.promote_types(x.dtype, torch.float32)
        dims, own_count = _but_channels(x), x.new_full((1,), float(x.numel() // channels), dtype=wide)
        own_mean = x.sum(dims, dtype=wide) / own_count
        own_var = (x - _over_channels(own_mean, x)).square_().sum(dims) / own_count
        told = messages.collected(torch.cat([own_mean, own_var, own_count])[None], [1] * messages.ranks)
        means, variances, counts = torch.split(told, [channels, channels, 1], dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        var = (counts * (variances + (means - mean).square())).sum(0) / count
        ctx.save_for_backward(x, weight, bias, mean, var, count)
        ctx.eps, ctx.messages = eps, messages
        ctx.mark_non_differentiable(mean, var, count)
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps), mean, var, count

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> Any:
        x, weight, bias, mean, var, count = ctx.saved_tensors
        if torch.is_grad_enabled():  # of the gradient a gradient will be taken
            wanted = [t for t, needed in zip((x, weight, bias), ctx.needs_input_grad[:3], strict=True) if needed]
            again = _by_parts(x, weight, bias, ctx.eps, ctx.messages)[0]
            gradients = iter(torch.autograd.grad(again, wanted, dy, create_graph=True))
            return (*(next(gradients) if needed else None for needed in ctx.needs_input_grad[:3]), None, None)
        along, straight = _sums(dy, x, mean, var, ctx.eps)
        dx = None
        if ctx.needs_input_grad[0]:
            total = ctx.messages.add(torch.stack([along, straight]))
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
