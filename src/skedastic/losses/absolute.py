"""Absolute error, |y − a| (Laplace 1774): its minimum is the median of the target, which outliers hardly move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skedastic.losses.base import PerExampleLoss


def absolute(outputs: Tensor, y: Tensor) -> Tensor:
    """Return |y − outputs|, [B]; its derivative at 0 is taken to be 0.

    Parameters
    ----------
    outputs : Tensor
        Predictions, [B].
    y : Tensor
        Targets, [B].
    """
    return (y - outputs).abs()


@dataclass(frozen=True, kw_only=True)
class Absolute(PerExampleLoss):
    """The absolute error, in deviations of the target."""

    supports: ClassVar[frozenset[str]] = frozenset({"regression"})

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return |y − outputs|, [B], each ≥ 0."""
        return absolute(outputs, y)
