"""TERM: tilted empirical risk minimization, normalized within the batch.

Source: Li, Beirami, Sanjabi, Smith, "Tilted Empirical Risk Minimization", ICLR 2021, equation 2 and Lemma 1: minimize
(1/t) log (1/B) Σ_i exp(t ℓ_i), whose gradient is Σ_i p_i ∇ℓ_i with p_i = exp(t ℓ_i) / Σ_j exp(t ℓ_j). Its t is ABSGD's 1/λ; the
difference is that each batch is normalized by itself (ABSGD with γ = 1), which is biased where batches are small. Their
stochastic solver (Algorithm 2) has a moving average; that is `absgd`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from skedastic.core.tilted import DROObjective, log_mean_exp, single
from skedastic.errors import UserError
from skedastic.methods.bases.method import Batch, Card, Clock, Engine, Logs, State, Task
from skedastic.methods.bases.one_network import AXES, OneNetworkState, Reweighting


def tilted_weights(losses: Tensor, t: float) -> Tensor:
    """Return B exp(t ℓ_i) / Σ_j exp(t ℓ_j), [B], of losses [B]: weights whose mean is 1."""
    scaled = t * single(losses)
    return (scaled - log_mean_exp(scaled)).exp()


class TiltedState(OneNetworkState):
    """The network, and F_λ of the epoch so far, λ = 1/t."""

    objective: DROObjective

    def __init__(self, net: nn.Module, of_classes: Tensor | None, class_weight: Tensor | None, lam: float) -> None:
        super().__init__(net, of_classes, class_weight)
        self.objective = DROObjective(lam)


@dataclass(frozen=True, kw_only=True)
class Tilted(Reweighting):
    """Weigh each example by the exponential of its loss, normalized within the batch."""

    t: float = 1.0

    milder: ClassVar[str] = "take a smaller |t|"

    card: ClassVar[Card] = Card(
        name="tilted",
        title="Tilted empirical risk (TERM), batch by batch",
        paper="Li et al., Tilted Empirical Risk Minimization, ICLR 2021",
        equations="(1/t) log (1/B) Σ exp(t ℓ_i) (eq. 2)",
        family="instance weights",
        supports=frozenset({"classification", "regression"}),
        reduces_to_erm=({"t": 0.0},),
        parameters={
            **AXES,
            "t": "in 1/units of the loss: above 0 for imbalance, below for label noise; 0 is plain training",
        },
        cost="1.0 × the step of plain training",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not abs(self.t) < float("inf"):
            raise UserError(
                f"Tilted(t={self.t}): t must be finite; 0 is plain training, and cvar looks to the largest alone"
            )

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> TiltedState:
        """Return a fresh network."""
        return TiltedState(self.network(task, make_net), *self.known(task), 1 / self.t if self.t else float("inf"))

    def take(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> None:
        """Take the losses into F_λ."""
        state.objective.update(losses)

    def instance_weights(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> Tensor | None:
        """Return p_i B."""
        return tilted_weights(losses, self.t) if self.t else None

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs:
        """Return equation 2 over the epoch's examples, each at the network of its step."""
        assert isinstance(state, TiltedState)
        return {"objective": state.objective.taken()}
