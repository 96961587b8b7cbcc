"""One step looked ahead: how the weights of a batch's examples move a loss elsewhere, after a step of plain gradient descent.

Let ŵ(v) = w − α Σ_i v_i ∇ℓ_i(w), and L the loss of other examples. Then exactly

    ∂L(ŵ(v))/∂v_i = −α ⟨∇L(ŵ), ∇ℓ_i(w)⟩,

so that one needs ŵ, the gradient u of L there, and the products of u with each ∇ℓ_i. These are had without any ∇ℓ_i: ⟨u, ∇ℓ_i⟩
is the derivative of ℓ_i along u, and one forward pass in dual numbers gives it for all examples at once. Nothing is copied but the
parameters: everything is taken by `torch.func.functional_call`.
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
    """Return ⟨u, ∇ℓ_i⟩ [B] at `parameters`; u: a tensor for each of them.

    By forward-mode differentiation, which costs about three forward passes and keeps nothing; where a layer or a loss has
    none, by differentiating the backward pass, to the same numbers. Attention is not fused meanwhile: fused, it has neither. Raises
    RuntimeError where a layer has neither.
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
        losses, found = forward_ad.unpack_dual(losses_of(dual))  # type: ignore[no-untyped-call]
        return torch.zeros_like(losses) if found is None else found.clone()


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
        found = torch.autograd.grad(
            [gradients[i] for i in linear], v, [u[i] for i in linear], allow_unused=True, materialize_grads=True
        )
    return found[0]


def stepped(parameters: Mapping[str, Tensor], gradients: Sequence[Tensor], rate: float) -> dict[str, Tensor]:
    """Return ŵ = w − rate · g by name, leaves that can be differentiated by."""
    return {
        name: (p.detach() - rate * g).requires_grad_()
        for (name, p), g in zip(parameters.items(), gradients, strict=True)
    }


def run_with(net: nn.Module, parameters: Mapping[str, Tensor], x: Any) -> Any:
    """Return the network's output for x with other parameters; its buffers, such as BatchNorm's, are left as they are."""
    with buffers_kept(net):
        return functional_call(net, dict(parameters), (x,))
