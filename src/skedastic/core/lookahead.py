"""Lookahead of one step: how the weights of a batch's examples move a loss elsewhere, after plain gradient descent.

Let ŵ(v) = w − α Σ_i v_i ∇ℓ_i(w), and L the loss of other examples. Then exactly

    ∂L(ŵ(v))/∂v_i = −α ⟨∇L(ŵ), ∇ℓ_i(w)⟩,

so that ŵ, the gradient u of L there, and the products of u with each ∇ℓ_i are enough. The products need no ∇ℓ_i: the
derivative of ℓ_i along u is ⟨u, ∇ℓ_i⟩, and one forward pass in dual numbers gives it for all examples at once (a
per-example JVP). Nothing is copied but the parameters: every pass goes through `torch.func.functional_call`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from skedastic.core.replay import buffers_kept

LossesOf = Callable[[Mapping[str, Tensor]], Tensor]  # parameters by name -> losses [B] of the examples at them


def products(losses_of: LossesOf, parameters: Mapping[str, Tensor], u: Sequence[Tensor]) -> Tensor:
    """Return the per-example JVPs ⟨u, ∇ℓ_i⟩, [B].

    They come from forward-mode differentiation, which costs about three forward passes and keeps nothing. Where a layer
    or a loss has no forward mode, the backward pass is differentiated, to the same numbers. Attention is not fused
    meanwhile: fused, it has neither.

    Parameters
    ----------
    losses_of : callable
        From parameters, by name, to the losses [B] of the examples at them.
    parameters : mapping of Tensor
        Where the gradients are taken, by name.
    u : sequence of Tensor
        The direction, a tensor for each parameter, of its shape.

    Raises
    ------
    RuntimeError
        A layer has neither a forward mode nor a double backward.
    """
    with sdpa_kernel(SDPBackend.MATH):
        try:
            return _forward(losses_of, parameters, u)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # NotImplementedError is one too
            return _double_backward(losses_of, parameters, u)


def _forward(losses_of: LossesOf, parameters: Mapping[str, Tensor], u: Sequence[Tensor]) -> Tensor:
    with torch.no_grad(), forward_ad.dual_level():
        dual = {
            name: forward_ad.make_dual(p.detach(), direction.to(p.dtype))  # type: ignore[no-untyped-call]
            for (name, p), direction in zip(parameters.items(), u, strict=True)
        }
        losses, tangent = forward_ad.unpack_dual(losses_of(dual))  # type: ignore[no-untyped-call]
        return torch.zeros_like(losses) if tangent is None else tangent.clone()


def _double_backward(losses_of: LossesOf, parameters: Mapping[str, Tensor], u: Sequence[Tensor]) -> Tensor:
    """The gradient Σ_i v_i ∇ℓ_i is linear in v, and its derivative by v along u is all the products."""
    with torch.enable_grad():
        at = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        losses = losses_of(at)
        v = torch.zeros_like(losses, requires_grad=True)
        gradients = torch.autograd.grad(
            losses, list(at.values()), v, create_graph=True, materialize_grads=True, allow_unused=True
        )
        linear = [i for i, g in enumerate(gradients) if g.requires_grad]  # the others are 0, whatever v
        if not linear:
            return torch.zeros_like(v).detach()
        (along_u,) = torch.autograd.grad(
            [gradients[i] for i in linear], v, [u[i] for i in linear], allow_unused=True, materialize_grads=True
        )
    return along_u


def stepped(parameters: Mapping[str, Tensor], gradients: Sequence[Tensor], rate: float) -> dict[str, Tensor]:
    """Return ŵ = w − rate · g by name, leaves that can be differentiated by.

    Parameters
    ----------
    parameters : mapping of Tensor
        w, by name.
    gradients : sequence of Tensor
        g of each, of its shape.
    rate : float
        The learning rate.
    """
    return {
        name: (p.detach() - rate * g).requires_grad_()
        for (name, p), g in zip(parameters.items(), gradients, strict=True)
    }


def run_with(net: nn.Module, parameters: Mapping[str, Tensor], x: Any) -> Any:
    """Return the network's output for x with other parameters; its buffers, such as BatchNorm's, are left as they are.

    Parameters
    ----------
    net : nn.Module
        Any network.
    parameters : mapping of Tensor
        Its parameters, by name.
    x : Tensor
        The input, [B, ...].
    """
    with buffers_kept(net):
        return functional_call(net, dict(parameters), (x,))
