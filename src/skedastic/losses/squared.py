"""Squared error, ½ (y − a)²: the loss of plain regression, as Cao et al. 2021 (section 2.2) write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skedastic.losses.base import PerExampleLoss


def squared(outputs: Tensor, y: Tensor) -> Tensor:
    """Return ½ (y − outputs)², [B]; its second derivative is 1, the paper's I(x).

    Parameters
    ----------
    outputs : Tensor
        Predictions, [B].
    y : Tensor
        Targets, [B].
    """
    return 0.5 * (y - outputs) ** 2


@dataclass(frozen=True, kw_only=True)
class Squared(PerExampleLoss):
    """Half the squared error; its minimum is the mean of the target."""

    supports: ClassVar[frozenset[str]] = frozenset({"regression"})

    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return ½ (y − outputs)², [B], each ≥ 0."""
        return squared(outputs, y)
