"""Weights of the classes in the loss, by how many examples each has.

Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, equation 2; deferred to the last
part of training (DRW): Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS
2019, Algorithm 1. HAR-DRW (Cao et al. 2021, Table 3) takes them from epoch 80 of 120 on, with β = 0.9999; the authors'
code divides the weighted losses of a batch by the sum of their weights, where we divide by B.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skedastic.errors import UserError


@dataclass(frozen=True, kw_only=True)
class EffectiveNumber:
    """w_c ∝ (1 − β) / (1 − β^{n_c}), with the mean over classes 1; classes without examples get 0.

    beta: in [0, 1); 0 weighs all classes alike, and towards 1 the weights go to 1/n_c. start: the fraction of the epochs
    before which nothing is weighted, in [0, 1). Raises UserError outside these ranges.
    """

    beta: float = 0.9999
    start: float = 0.0

    def __post_init__(self) -> None:
        for name in ("beta", "start"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"class_weights.{name}={getattr(self, name)}: {name} must be in [0, 1)")

    def __call__(self, count: Tensor) -> Tensor:
        """Return the weights [C], float32, of classes of `count` [C] examples."""
        n = count.to(torch.float64)
        raw = torch.where(n > 0, (1 - self.beta) / (1 - self.beta**n).clamp_min(1e-300), 0.0)
        return (raw * ((n > 0).sum() / raw.sum())).float()
