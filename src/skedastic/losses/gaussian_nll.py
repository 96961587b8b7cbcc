"""Gaussian negative log-likelihood, ½ (log σ² + (y − μ)²/σ²): the network predicts its own noise.

Source: Nix and Weigend, "Estimating the Mean and Variance of the Target Probability Distribution", 1994, equation 4,
without the constant ½ log 2π.

The network gives two numbers, μ and log σ². The loss may be negative, where σ < 1. The floor of the variance keeps an
example that is fitted exactly from pulling σ to 0 and the loss to −∞.

Its gradients are divided by σ². So examples that look noisy at first are given up, and those that are fitted have huge
gradients: with SGD at usual rates it diverges. Multiplied by σ^2β, held constant, it does not (Seitzer et al., "On the
Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks", ICLR 2022, equation 5): β = 0 is
the likelihood itself, 1 fits the mean as the squared error does. The default is 1, which is stable at the rates that
SGD has here; theirs is 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import ClassVar

from torch import Tensor

from skedastic.configurable import setting
from skedastic.losses.base import PerExampleLoss

LARGEST = 100.0  # variance, in squared deviations of the target


def gaussian_nll(outputs: Tensor, y: Tensor, floor: float, beta: float = 0.0) -> Tensor:
    """Return σ^2β ½ (log σ² + (y − μ)²/σ²), [B]; σ^2β is detached.

    σ² is at most 100, ten deviations of the target: beyond, a network has lost its way.

    Parameters
    ----------
    outputs : Tensor
        (μ, log σ²), [B, 2], in deviations of the target.
    y : Tensor
        Standardized targets, [B].
    floor : float
        The least σ², above 0.
    beta : float
        β, in [0, 1].
    """
    mean, log_variance = outputs.unbind(1)
    log_variance = log_variance.clamp(log(floor), log(LARGEST))
    likelihood = 0.5 * (log_variance + (y - mean).square() * (-log_variance).exp())
    return likelihood * (beta * log_variance).exp().detach() if beta else likelihood


@dataclass(frozen=True, kw_only=True)
class GaussianNLL(PerExampleLoss):
    """Mean and variance of each target."""

    floor: float = setting(1e-3, "least variance, in squared deviations of the target; 0.001 is usual", "(0, inf)")
    beta: float = setting(1.0, "0 is the likelihood itself, 1 fits the mean as squared error does", "[0, 1]")

    supports: ClassVar[frozenset[str]] = frozenset({"regression"})
    outputs: ClassVar[int] = 2

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B]; they may be negative."""
        return gaussian_nll(outputs, y, self.floor, self.beta)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the means [B]."""
        return outputs[:, 0]
