"""DMI, the determinant-based mutual information: −log |det U| with U = (1/B) Σ_i t_i p_iᵀ.

Source: Xu et al., "L_DMI: A Novel Information-theoretic Loss Function for Training Deep Nets Robust to Label Noise",
NeurIPS 2019, equation 7.

It is one number of a whole batch: every example's loss here is that number, whose mean is it again, and there is
nothing in it to weigh. It needs a network that was trained before (the preset dmi: cross entropy first), and small
steps, since its gradient is the inverse of U, which is large where a class is rare or not told apart. The preset has
Adam at 10⁻⁴ (0.1 of the training configuration's rate), as the authors have it on Fashion-MNIST: Adam's steps are no
larger where the gradient is. On CIFAR-10 they have SGD at 10⁻⁵ of the rate before, for 100 epochs, and keep the best by
noisy validation. In fewer epochs that moved nothing, and at 10⁻³, and even 10⁻⁴, a network forgot the classes that are
rare (docs/results/har_tables.md).

The authors' code (github.com/Newbeeer/L_DMI) leaves out 1/B and adds 0.001 to the determinant, log(|det B U| + 0.001),
so that it can be 0. Here it is the logarithm of the determinant itself (slogdet), the paper's; `offset=0.001` is the
code's. A batch without some class has determinant 0 and, in the paper, an infinite loss. Here the determinant is then
that of the classes in the batch, which are all that its labels can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skedastic.configurable import setting
from skedastic.errors import UserError
from skedastic.losses.base import PerExampleLoss


def dmi(logits: Tensor, y: Tensor, offset: float = 0.0) -> Tensor:
    """Return −log(|det U| + offset B^−C), a scalar.

    A batch whose matrix has no inverse is passed over: its loss is the largest that there is, and has no gradient.

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    offset : float
        At least 0; 0 is the paper's.

    Raises
    ------
    UserError
        B < C: there are then fewer examples than classes to tell apart.
    """
    batch, classes = logits.shape
    if batch < classes:
        rule = (
            f"its matrix has no inverse; take batches of at least {classes}, better several times as many, and leave "
            "out a smaller last one"
        )
        given = f"dmi: a batch of {batch} examples and {classes} classes"
        raise UserError(rule, setting="logits", value=[batch, classes], given=given)
    with torch.autocast(logits.device.type, enabled=False):  # determinants have no half precision
        target = F.one_hot(y, classes).to(logits.dtype)
        joint = target.T @ logits.softmax(1) / batch
        absent = target.sum(0) == 0
        joint = joint.masked_fill(absent[:, None] | absent[None, :], 0.0) + torch.diag(absent.to(joint.dtype))
        singular = torch.linalg.slogdet(joint.detach()).logabsdet.isneginf()
        log_det = torch.linalg.slogdet(
            torch.where(singular, torch.eye(classes, dtype=joint.dtype, device=joint.device), joint)
        ).logabsdet
        log_det = torch.where(singular, log(torch.finfo(joint.dtype).tiny), log_det)
    if offset == 0:
        return -log_det
    return -torch.logaddexp(log_det, log(offset) - (~absent).sum() * log(batch))


@dataclass(frozen=True, kw_only=True)
class DMI(PerExampleLoss):
    """The determinant-based mutual information of a batch."""

    offset: float = setting(0.0, "added to |det B U|; 0 is the paper's, 0.001 the code's", "[0, inf)")

    of_batch: ClassVar[bool] = True
    requires = ("batches of as many as classes",)

    def least_batch(self, classes: int) -> int:
        """Return C: with fewer examples the matrix has no inverse."""
        return max(2, classes)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the batch's loss B times, [B]."""
        return dmi(outputs, y, self.offset).expand(len(y))
