"""DMI, the determinant-based mutual information: −log |det U| with U = (1/B) Σ_i t_i p_iᵀ (Xu et al., "L_DMI: A Novel
Information-theoretic Loss Function for Training Deep Nets Robust to Label Noise", NeurIPS 2019, equation 7).

It is one number of a whole batch: every example's loss here is that number, whose mean is it again, and there is nothing in
it to weigh. It needs a network that was trained before (the preset dmi: cross entropy first), and a small learning rate.

The authors' code (github.com/Newbeeer/L_DMI) leaves out 1/B, which changes no gradient, and takes log(|det| + 0.001), which
with many classes is 0.001 alone: the determinant of 100 classes is 1e-100. Here it is the logarithm of the determinant
itself (slogdet), the paper's; `offset` gives the code's. A batch without some class has determinant 0 and, in the paper, an
infinite loss. Here the determinant is then that of the classes it has, which is what their labels can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skedastic.errors import UserError
from skedastic.losses.base import PerExampleLoss


def dmi(logits: Tensor, y: Tensor, offset: float = 0.0) -> Tensor:
    """Return −log(|det U| + offset), a scalar, of logits [B, C] and labels y [B] int64.

    Raises UserError where B < C: there are then fewer examples than classes to tell apart.
    """
    batch, classes = logits.shape
    if batch < classes:
        raise UserError(
            f"dmi: a batch of {batch} examples and {classes} classes, whose matrix has no inverse; take batches of at least "
            f"{classes}, better several times as many, and leave out a smaller last one"
        )
    target = F.one_hot(y, classes).to(logits.dtype)
    joint = target.T @ logits.softmax(1) / batch
    absent = target.sum(0) == 0
    joint = joint.masked_fill(absent[:, None] | absent[None, :], 0.0) + torch.diag(absent.to(joint.dtype))
    singular = torch.linalg.slogdet(
        joint.detach()
    ).logabsdet.isneginf()  # its gradient would be NaN; the batch is passed over
    log_det = torch.linalg.slogdet(torch.where(singular, torch.eye(classes).to(joint), joint)).logabsdet
    return -log_det if offset == 0 else -torch.logaddexp(log_det, log_det.new_tensor(log(offset)))


@dataclass(frozen=True, kw_only=True)
class DMI(PerExampleLoss):
    """The determinant-based mutual information of a batch. offset: ≥ 0, added to |det|; 0 the paper, 0.001 the code."""

    offset: float = 0.0

    of_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.offset < float("inf"):
            raise UserError(f"dmi(offset={self.offset}): offset must be finite and at least 0; 0 is the paper's")

    def least_batch(self, classes: int) -> int:
        """Return C: with fewer examples the matrix has no inverse."""
        return max(2, classes)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the batch's loss B times, [B]."""
        return dmi(outputs, y, self.offset).expand(len(y))
