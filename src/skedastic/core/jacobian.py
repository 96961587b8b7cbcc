"""The Jacobian penalty of HAR and three ways to its gradient.

Source: Cao et al., "Heteroskedastic and Imbalanced Deep Learning with Adaptive Regularization", ICLR 2021,
section 2.3 and equation 6:

    (1/B) Σ_i (ℓ_i + s_i R_i),   R_i = (Σ_j ‖J_ij‖²)^{1/2},   J_ij = ∂(Σ_k ℓ_k)/∂h_j(x_i),   s_i = λ τ_{g(i)}.

`exact` differentiates R (double backward). The other two move the activations along v_ij = J_ij/R_i, since by the
envelope theorem the gradient of R_i is the directional derivative of the loss along v_i, held fixed:

    finite, step ε:   [Σ ℓ(h) + (Σ ℓ(h + ε s v) − Σ ℓ(h)) / ε] / B    →  exact as ε → 0
    implicit:         [Σ ℓ(h + s v)] / B                              =  finite at ε = 1

At ε = 1 the first forward's loss cancels and its backward to the parameters is never run: one backward to the
activations, and one ordinary forward and backward.

Where the authors' code (github.com/kaidic/HAR) differs from the paper: it sums the norms over the layers
(`norm="layers"`), differentiates the batch *mean* of the loss (`reduction="mean"`, so that its strength 10 at B = 128
is 10/128 here), measures before the affine part of BatchNorm (`affine="before"`), and leaves the network's first
BatchNorm out (name the others with `taps`). The defaults are the paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.core.taps import Affine, Trace, find_taps, record
from skedastic.errors import UserError

Gradient = Literal["implicit", "exact", "finite"]
Norm = Literal["joint", "layers"]
Reduction = Literal["sum", "mean"]

NEGLIGIBLE = 1e-12  # norms below this move nothing: J / R would be noise in single precision


class Penalized(NamedTuple):
    """What a regularized step gives: minimize `total`."""

    total: Tensor  # scalar: (1/B) Σ_i (ℓ_i + s_i R_i), or a surrogate with its gradient
    per_example: Tensor  # [B] ℓ_i, the unregularized loss, detached
    norm: Tensor  # [B] R_i, detached


@dataclass(frozen=True, kw_only=True)
class JacobianPenalty:
    """How R is defined and how its gradient is found.

    gradient: "implicit" (default; no double backward), "exact" (double backward) or "finite".
    norm: "joint" R = (Σ_j ‖J_j‖²)^{1/2} (the paper), or "layers" R = Σ_j ‖J_j‖ (the authors' code).
    affine: measure "after" (default) or "before" the affine part of normalization layers (the authors' code).
    reduction: J of the batch's "sum" (default; R_i does not depend on B) or "mean" (the authors' code; R_i / B).
    step: ε of "finite", > 0.
    """

    gradient: Gradient = "implicit"
    norm: Norm = "joint"
    affine: Affine = "after"
    reduction: Reduction = "sum"
    step: float = 0.01

    def norms(self, jacobians: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return R [B] and the norms ‖J_ij‖ [B, L] of the L tapped outputs."""
        per_layer = torch.stack([torch.linalg.vector_norm(j.flatten(1), dim=1) for j in jacobians], dim=1)
        joint = torch.linalg.vector_norm(per_layer, dim=1) if self.norm == "joint" else per_layer.sum(1)
        return joint / len(joint) if self.reduction == "mean" else joint, per_layer

    def __call__(self, per_example: Tensor, trace: Trace, again: Callable[[], Tensor], strength: Tensor) -> Penalized:
        """Return the penalized loss of a batch whose forward was recorded.

        per_example: [B] losses ℓ_i of the recorded forward. trace: that forward. again: runs the same forward and
        returns the losses [B]. strength: [B] s_i = λτ_g(i) ≥ 0, or a scalar tensor.
        """
        exact = self.gradient == "exact"
        jacobians = trace.jacobians(per_example.sum(), create_graph=exact, retain_graph=self.gradient != "implicit")
        norm, per_layer = self.norms(jacobians)
        if exact:
            total = (per_example + strength * norm).mean()
        else:
            ratio = 1.0 if self.gradient == "implicit" else self.step
            with trace.replay(self._shifts(jacobians, per_layer, ratio * strength)):
                shifted = again()
            total = shifted.mean()
            if self.gradient == "finite":
                # where no strength is enforced the difference is zero, and must be so to the bit
                inverse = (strength != 0).any() / self.step
                total = per_example.mean() + inverse * (total - per_example.mean())
        return Penalized(total, per_example.detach(), norm.detach())

    def _shifts(self, jacobians: list[Tensor], per_layer: Tensor, length: Tensor) -> Iterator[Tensor]:
        """Yield δ_ij = length_i J_ij / R_i with ‖δ_i‖ = length_i (jointly, or in each layer when these are summed).

        Empties `jacobians` on the way, so that a J is freed as soon as the second forward has passed it.
        """
        if self.reduction == "mean":
            length = length / len(per_layer)
        scale = per_layer if self.norm == "layers" else torch.linalg.vector_norm(per_layer, dim=1, keepdim=True)
        factor = (length.expand(len(per_layer))[:, None] / scale.clamp_min(NEGLIGIBLE)).expand_as(per_layer)
        for f in factor.unbind(1):
            j = jacobians.pop(0)
            yield j * f.view(-1, *[1] * (j.dim() - 1)).to(j.dtype)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross entropy [B] of logits [B, C] and labels y ([B] integer or [B, C] soft)."""
    return F.cross_entropy(logits, y, reduction="none")


def regularized_loss(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    strength: Tensor | float,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    penalty: JacobianPenalty | None = None,
    taps: Sequence[str] | None = None,
) -> Penalized:
    """Return HAR's regularized loss (eq. 6) of one batch, for anyone's network and training loop.

    net: any network that maps x [B, ...] to outputs. y: [B] what `loss` takes. strength: s_i = λτ_g(i) ≥ 0, [B] or one
    number. loss: (outputs, y) -> per-example losses [B]. penalty: how R is defined (`JacobianPenalty`).
    taps: names or patterns of the modules to measure at; None takes all normalization layers.

    Call `.total.backward()` and step as ever. At strength 0 the gradient equals that of plain training.
    Raises UserError (a ValueError) where the network has nothing to tap, or on a negative strength given as a number.
    """
    if isinstance(strength, (int, float)):
        if not strength >= 0:
            raise UserError(f"regularized_loss(strength={strength}): strength must be at least 0; 0 is plain training")
        strength = torch.tensor(float(strength), device=x.device)
    penalty = penalty or JacobianPenalty()
    with record(net, find_taps(net, taps), penalty.affine) as trace:
        per_example = loss(net(x), y)
    return penalty(per_example, trace, lambda: loss(net(x), y), strength)
