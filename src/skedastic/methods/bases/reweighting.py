"""The base of methods that weigh examples by their losses: minimize (1/B) Σ_i p_i w_{y_i} ℓ_i, p detached."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from skedastic.core.tilted import effective_size
from skedastic.methods.bases.one_network import N, OneNetwork
from skedastic.methods.bases.step import Objective, Step

FEW = 0.05  # of the examples of a batch


@dataclass(frozen=True, kw_only=True)
class Reweighting(OneNetwork[N]):
    """A method that weighs examples by their losses: minimize (1/B) Σ_i p_i ℓ_i, the classes' weights in ℓ."""

    weighs: ClassVar[bool] = True
    milder: ClassVar[str] = ""  # the way out where it weighs harder than was meant

    @abstractmethod
    def instance_weights(self, step: Step[N], losses: Tensor) -> Tensor | None:
        """Return the weights p of the losses, [B] ≥ 0, detached; None where all are 1. Pure: `observe` has run.

        Parameters
        ----------
        step : Step
            The step after its forward.
        losses : Tensor
            The losses with the classes' weights, [B], detached.
        """

    def take(self, step: Step[N], losses: Tensor) -> None:
        """Change the state by the losses of a batch; without gradients.

        Parameters
        ----------
        step : Step
            The step after its forward.
        losses : Tensor
            The losses with the classes' weights, [B].
        """
        return

    def observe(self, step: Step[N]) -> None:
        """Let the method take the losses, with the classes' weights."""
        self.take(step, self.weighted(step))

    def objective(self, step: Step[N]) -> Objective:
        """Return the weighted mean; logs the spread of the weights, and the share of negative losses."""
        losses = self.weighted(step)
        seen = losses.detach()
        weights = self.instance_weights(step, seen)
        if weights is None:
            return Objective(losses.mean(), step.out.extra.detach())
        logs = {
            "effective_size": effective_size(weights),
            "largest_weight": weights.max(),
            "negative_losses": (seen < 0).float(),
        }
        return Objective((weights * losses).mean(), step.out.extra.detach(), logs)

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Return a note where nearly all weight was on a few examples at the end, and where losses were negative."""
        notes = []
        if self.milder and rows and rows[-1].get("effective_size", batch_size) < FEW * batch_size:
            notes.append(
                f"{self.card.name}: in the last epoch the weights of a batch rested on fewer than a twentieth of its "
                "examples (effective_size in the history), and the others were hardly trained. Its losses are too "
                f"large for this setting: {self.milder}."
            )
        if any(row.get("negative_losses", 0) > 0 for row in rows):
            notes.append(
                f"{self.card.name}: some losses were below 0. Its weights go by differences of losses, and are as "
                "meant; but an objective below 0 is no error, and weights that multiply losses make a negative one "
                "smaller, not larger."
            )
        return tuple(notes)
