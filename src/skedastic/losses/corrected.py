"""Corrected cross entropy: −log (T' p)_y, with the estimate's T.

Source: Patrini et al., CVPR 2017, Theorem 2; here T is that of the estimate (`skedastic.noise.true_labels`), which is
fitted to all labels. The method forward-correction has the paper's own T. The network predicts the true classes. With
τ the shares of these are made up for, as in Menon et al., ICLR 2021, equation 10: −log (T' softmax(f + τ log π))_y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from skedastic.configurable import setting
from skedastic.core.transitions import of_labels, shares_of_true_classes
from skedastic.errors import UserError
from skedastic.losses.base import PerExampleLoss
from skedastic.losses.logit_adjusted import log_target


def corrected(logits: Tensor, y: Tensor, transitions: Tensor) -> Tensor:
    """Return −log (T' p)_y, [B]; of soft labels their mean.

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 or soft [B, C].
    transitions : Tensor
        T, [C, C], [true, given].
    """
    log_p = of_labels(logits, transitions)
    return -(y * log_p).sum(1) if y.dim() == 2 else functional.nll_loss(log_p, y, reduction="none")


@dataclass(frozen=True, kw_only=True)
class Corrected(PerExampleLoss):
    """Cross entropy of predictions that are corrupted as the estimate says that the labels were."""

    tau: float = setting(
        0.0, "how much the shares of the true classes are made up for; 1 fits balanced error", "[0, inf)"
    )

    target: tuple[float, ...] = setting(
        (), "shares to fit, of the classes in their order; by default all alike", "(0, inf)"
    )

    soft: ClassVar[bool] = True
    by_transitions: ClassVar[bool] = True

    def of_classes(self, count: Tensor, transitions: Tensor | None = None) -> Tensor:
        """Return T beside a column of τ log π, [C, C + 1] float32. Raises UserError where there is no T."""
        if transitions is None:
            rule = (
                "it needs to know how labels go wrong, and the estimate does not tell: that takes held-out predictions "
                "of models that learned something, at most 100 classes, and no votes; take another loss"
            )
            raise UserError(rule, setting="loss", value="corrected")
        share = shares_of_true_classes(count, transitions).clamp_min(1e-6)
        adjustment = (self.tau * (share.log() - log_target(self.target, len(share)))).to(transitions)
        return torch.cat([transitions, adjustment[:, None]], 1).to(torch.float32)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        assert of_classes is not None, "the call demands it"
        transitions, adjustment = of_classes[:, :-1], of_classes[:, -1]
        return corrected(outputs + adjustment.to(outputs.dtype), y, transitions)
