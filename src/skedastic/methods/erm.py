"""ERM: empirical risk minimization, plain training. The baseline of both papers' tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from skedastic.methods.bases.method import Batch, Card, Clock, Objective, Out, State
from skedastic.methods.bases.one_network import AXES, OneNetwork


@dataclass(frozen=True, kw_only=True)
class ERM(OneNetwork):
    """Minimize (1/B) Σ_i w_{y_i} ℓ_i."""

    card: ClassVar[Card] = Card(
        name="erm",
        title="Plain training (empirical risk minimization)",
        paper="—",
        equations="(1/B) Σ w_y ℓ_i",
        family="plain",
        supports=frozenset({"classification", "regression"}),
        reduces_to_erm=({},),
        parameters=AXES,
        cost="1 × the step of plain training",
    )

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return the mean of the losses, weighted by class where weights are in force."""
        return Objective(self.weighted(state, batch, out, clock).mean(), out.extra.detach())
