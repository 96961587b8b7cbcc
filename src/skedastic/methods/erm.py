"""ERM: empirical risk minimization, plain training. The baseline of both papers' tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from skedastic.methods.bases.card import Card, ProbabilitiesOf
from skedastic.methods.bases.one_network import OneNetwork, OneNetworkState


@dataclass(frozen=True, kw_only=True)
class ERM(OneNetwork[OneNetworkState]):
    """Minimize (1/B) Σ_i w_{y_i} ℓ_i."""

    card: ClassVar[Card] = Card(
        name="erm",
        title="Plain training (empirical risk minimization)",
        paper="—",
        equations="(1/B) Σ w_y ℓ_i",
        family="plain",
        role="baseline",
        reduces_to_erm=({},),
        cost="1 × the step of plain training",
    )

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """Labels, where nothing but the loss is minimized, and that is cross entropy."""
        return "labels" if self.fits_labels else super().probabilities_of
