"""One step looked ahead: how the weights of a batch's examples move a loss elsewhere, after a step of plain gradient descent.

Let ŵ(v) = w − α Σ_i v_i ∇ℓ_i(w), and L the loss of other examples. Then exactly

    ∂L(ŵ(v))/∂v_i = −α ⟨∇L(ŵ), ∇ℓ_i(w)⟩,

so that one needs ŵ, the gradient u of L there, and the products of u with each ∇ℓ_i. These are had without any ∇ℓ_i: the
gradient Σ_i v_i ∇ℓ_i is linear in v, and its derivative by v along u is all the products at once (double backward; the code
of Ren et al. 2018 does the same). Nothing is copied but the parameters: L is taken by `torch.func.functional_call`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from skedastic.core.again import buffers_kept

Products = Callable[[Sequence[Tensor]], Tensor]  # u, a tensor for each parameter -> ⟨u, ∇ℓ_i⟩ of each example, [B]


def pulled(losses: Tensor, parameters: Sequence[Tensor], weights: Tensor) -> tuple[list[Tensor], Products]:
    """Return Σ_i v_i ∇ℓ_i, a tensor for each parameter, and the function that gives ⟨u, ∇ℓ_i⟩ [B] of any u.

    losses: [B], whose graph is kept. weights: v [B], not differentiated through; they may be 0.
    Raises RuntimeError where a layer has no double backward.
    """
    v = weights.detach().clone().requires_grad_()
    gradients = torch.autograd.grad(losses, parameters, v, create_graph=True, materialize_grads=True, allow_unused=True)
    linear = [i for i, g in enumerate(gradients) if g.requires_grad]  # the others are 0, whatever v

    def products(u: Sequence[Tensor]) -> Tensor:
        if not linear:
            return torch.zeros_like(v)
        found = torch.autograd.grad(
            [gradients[i] for i in linear], v, [u[i] for i in linear], allow_unused=True, materialize_grads=True
        )
        return found[0]

    return [g.detach() for g in gradients], products


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
