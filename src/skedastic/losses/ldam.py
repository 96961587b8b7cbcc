"""LDAM: cross entropy with a margin that is larger for rarer classes.

Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019, equations
10 to 13.

Δ_c = C / n_c^{1/4}, scaled so that the largest margin is `margin`. As in the authors' code
(github.com/kaidic/LDAM-DRW) the outputs are cosines (`head=cosine`, which this loss takes by itself) and are multiplied
by s before the softmax. ABSGD's text gives the exponent 2/5; its code, as LDAM's paper, takes 1/4.
LDAM-DRW is LDAM with class weights that are deferred to the first drop of the learning rate (the preset ldam-drw): in
the paper's tables "LDAM-DRW", in ABSGD's "SGD (CB-LDAM)".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skedastic.configurable import setting
from skedastic.losses.base import PerExampleLoss


def margins(count: Tensor, margin: float) -> Tensor:
    """Return Δ_c ∝ n_c^{-1/4}, [C] float32, the largest `margin`; a class without examples has the largest.

    Parameters
    ----------
    count : Tensor
        Training examples of each class, [C] ≥ 0.
    margin : float
        The largest margin, in cosines, at least 0.
    """
    smallest = count[count > 0].min() if (count > 0).any() else torch.ones_like(count)
    raw = torch.maximum(count, smallest).double() ** -0.25
    return (raw * (margin / raw.max())).float()


def ldam(cosines: Tensor, y: Tensor, margin: Tensor, scale: float) -> Tensor:
    """Return the cross entropy of scale · (cosines − margin_y at y), [B].

    Parameters
    ----------
    cosines : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    margin : Tensor
        The margin of each class, [C].
    scale : float
        s, above 0.
    """
    pushed = cosines.scatter_add(1, y[:, None], -margin.to(cosines.dtype)[y, None])
    return F.cross_entropy(scale * pushed, y, reduction="none")


@dataclass(frozen=True, kw_only=True)
class LDAM(PerExampleLoss):
    """Label-distribution-aware margins."""

    margin: float = setting(0.5, "margin of the rarest class, in cosines; 0.5 is usual", "[0, inf)")
    scale: float = setting(30.0, "by how much cosines are multiplied before the softmax (s); 30 is usual", "(0, inf)")

    cosines: ClassVar[bool] = True
    reduces_to_cross_entropy = ({"margin": 0.0, "scale": 1.0},)

    def of_classes(self, count: Tensor, transitions: Tensor | None = None) -> Tensor:
        """Return the margins [C]."""
        return margins(count, self.margin)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        assert of_classes is not None
        return ldam(outputs, y, of_classes, self.scale)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the scaled cosines: the logits that were fitted, without margins."""
        return self.scale * outputs
