"""Logit-adjusted cross entropy: −log softmax(logits + τ log π)_y with π the classes' shares.

With a target π', the shares of the classes where the model will be used, it is log π/π' in place of log π.

Source: Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021, equation 10. The prediction is the argmax of
the logits, without the adjustment: it is as good for balanced error as the loss is for the data's own distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skedastic.configurable import setting
from skedastic.errors import UserError
from skedastic.losses.base import PerExampleLoss

LEAST = -14.0  # the logarithm of a share of one in a million


def logit_adjusted(logits: Tensor, y: Tensor, adjustment: Tensor) -> Tensor:
    """Return the cross entropy of logits + adjustment, [B].

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1, or soft [B, C].
    adjustment : Tensor
        τ log π, [C].
    """
    adjustment = adjustment.to(logits.dtype)
    if y.dim() == 2:
        adjustment = adjustment.clamp_min(LEAST)  # a class that no example is labelled may still have shares of them
    return F.cross_entropy(logits + adjustment, y, reduction="none")


def log_target(target: tuple[float, ...], classes: int) -> Tensor:
    """Return log (π'_c C), [C] float64; zeros where no target is given.

    Parameters
    ----------
    target : tuple of float
        The shares of the classes to fit, in any unit; empty where all are alike.
    classes : int
        C.

    Raises
    ------
    UserError
        There is not one for each class.
    """
    if not target:
        return torch.zeros(classes, dtype=torch.float64)
    if len(target) != classes:
        raise UserError(f"give one share for each of the {classes} classes", setting="target", value=list(target))
    share = torch.tensor(target, dtype=torch.float64)
    return (share / share.mean()).log()


def shares_over_target(count: Tensor, target: tuple[float, ...]) -> Tensor:
    """Return log (π_c / π'_c), [C] float64; −inf for a class without examples.

    Parameters
    ----------
    count : Tensor
        The examples of each class, [C], of which π are the shares.
    target : tuple of float
        As in `log_target`; so is what is raised.
    """
    share = count.double() / count.sum().clamp_min(1)
    return share.log() - log_target(target, len(count))


@dataclass(frozen=True, kw_only=True)
class LogitAdjusted(PerExampleLoss):
    """Logit adjustment."""

    soft: ClassVar[bool] = True

    tau: float = setting(
        1.0, "how much the classes' shares are made up for; 0 is cross entropy, 1 fits balanced error", "[0, inf)"
    )

    target: tuple[float, ...] = setting(
        (), "shares to fit, of the classes in their order; by default all alike", "(0, inf)"
    )

    reduces_to_cross_entropy = ({"tau": 0.0},)

    def of_classes(self, count: Tensor, transitions: Tensor | None = None) -> Tensor:
        """Return τ log (π_c / π'_c), [C]; −inf for a class without examples, which is then never a rival."""
        ratio = shares_over_target(count, self.target)
        return (self.tau * ratio).float() if self.tau else torch.zeros(len(count), device=count.device)

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B], each ≥ 0."""
        assert of_classes is not None
        return logit_adjusted(outputs, y, of_classes)
