"""HAR's penalty written literally: one example, one activation, one derivative at a time."""

import torch
from torch import Tensor, nn


def tapped_forward(net: nn.Sequential, kind: type[nn.Module], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Run a Sequential by hand and keep the outputs of its modules of type `kind`."""
    hidden = []
    for module in net:
        x = module(x)
        if isinstance(module, kind):
            hidden.append(x)
    return x, hidden


def losses(logits: Tensor, y: Tensor) -> Tensor:
    """−log softmax(logits)_y for each example, [B]."""
    return torch.stack([row.logsumexp(0) - row[label] for row, label in zip(logits, y, strict=True)])


def norms(net: nn.Sequential, kind: type[nn.Module], x: Tensor, y: Tensor, how: str = "joint") -> Tensor:
    """R_i for each example by looping over examples and layers; differentiable."""
    logits, hidden = tapped_forward(net, kind, x)
    jacobians = torch.autograd.grad(losses(logits, y).sum(), hidden, create_graph=True)
    result = []
    for i in range(len(x)):
        squares = [sum(entry**2 for entry in j[i].flatten()) for j in jacobians]
        result.append(sum(squares).sqrt() if how == "joint" else sum(s.sqrt() for s in squares))
    return torch.stack(result)


def objective(
    net: nn.Sequential, kind: type[nn.Module], x: Tensor, y: Tensor, strength: Tensor, how: str = "joint"
) -> Tensor:
    """(1/B) Σ_i (ℓ_i + s_i R_i), equation 6."""
    total = losses(net(x), y) + strength * norms(net, kind, x, y, how)
    return total.sum() / len(x)
