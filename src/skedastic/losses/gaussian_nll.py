"""Gaussian negative log-likelihood, ½ (log σ² + (y − μ)²/σ²): the network predicts its own noise (Nix and Weigend, "Estimating
the Mean and Variance of the Target Probability Distribution", 1994, equation 4), without the constant ½ log 2π.

The network gives two numbers, μ and log σ². It may be negative, where σ < 1. The floor of the variance keeps an example
that is fitted exactly from pulling σ to 0 and the loss to −∞.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import ClassVar

from torch import Tensor

from skedastic.errors import UserError
from skedastic.losses.base import PerExampleLoss


def gaussian_nll(outputs: Tensor, y: Tensor, floor: float) -> Tensor:
    """Return ½ (log σ² + (y − μ)²/σ²), [B], of outputs [B, 2] = (μ, log σ²) and y [B]; σ² is at least `floor`."""
    mean, log_variance = outputs.unbind(1)
    log_variance = log_variance.clamp_min(log(floor))
    return 0.5 * (log_variance + (y - mean).square() * (-log_variance).exp())


@dataclass(frozen=True, kw_only=True)
class GaussianNLL(PerExampleLoss):
    """Mean and variance of each target. floor: of the variance, > 0, in squared deviations of the target."""

    floor: float = 1e-3

    supports: ClassVar[frozenset[str]] = frozenset({"regression"})
    outputs: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not 0 < self.floor < float("inf"):
            raise UserError(f"gaussian-nll(floor={self.floor}): floor must be finite and above 0; 0.001 is usual")

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B]; they may be negative."""
        return gaussian_nll(outputs, y, self.floor)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the means [B]."""
        return outputs[:, 0]
