"""ERM: empirical risk minimization, plain training. The baseline of both papers' tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from skedastic.losses import PerExampleLoss
from skedastic.losses.auto import Auto
from skedastic.methods.base import LOSSES, Batch, Card, Clock, Loss, Method, Out, State


@dataclass(frozen=True, kw_only=True)
class ERM(Method):
    """Minimize (1/B) Σ_i ℓ_i."""

    loss_function: PerExampleLoss = field(default_factory=Auto)

    card: ClassVar[Card] = Card(
        name="erm",
        title="Plain training (empirical risk minimization)",
        paper="—",
        equations="(1/B) Σ ℓ_i",
        supports=frozenset({"classification", "regression"}),
        limits=({},),
        parameters={"loss_function": LOSSES},
        cost="1 × the step of plain training",
    )

    def loss(self, state: State, batch: Batch, out: Out, clock: Clock) -> Loss:
        """Return the mean of the per-example losses."""
        per_example = self.loss_function(out.logits, batch.y)
        return Loss(per_example.mean(), per_example.detach())
