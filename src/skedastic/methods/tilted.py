"""TERM: tilted empirical risk minimization, normalized within the batch.

Source: Li, Beirami, Sanjabi, Smith, "Tilted Empirical Risk Minimization", ICLR 2021, equation 2 and Lemma 1: minimize
(1/t) log (1/B) Σ_i exp(t ℓ_i), whose gradient is Σ_i p_i ∇ℓ_i with p_i = exp(t ℓ_i) / Σ_j exp(t ℓ_j). Its t is ABSGD's
1/λ; the difference is that each batch is normalized by itself (ABSGD with γ = 1), which is biased where batches are
small. Their stochastic solver (Algorithm 2) has a moving average; that is `absgd`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.tilted import DROObjective, log_mean_exp, single
from skedastic.methods.bases.card import Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetworkState
from skedastic.methods.bases.reweighting import Reweighting
from skedastic.methods.bases.step import Clock, Logs, Step
from skedastic.methods.bases.task import Task


def tilted_weights(losses: Tensor, t: float) -> Tensor:
    """Return B exp(t ℓ_i) / Σ_j exp(t ℓ_j), [B], of losses [B]: weights whose mean is 1."""
    scaled = t * single(losses)
    return (scaled - log_mean_exp(scaled)).exp()


class TiltedState(OneNetworkState):
    """The network, and F_λ of the epoch so far, λ = 1/t."""

    objective: DROObjective

    def __init__(self, net: nn.Module, constants: ClassConstants, lam: float) -> None:
        super().__init__(net, constants)
        self.objective = DROObjective(lam)


@dataclass(frozen=True, kw_only=True)
class Tilted(Reweighting[TiltedState]):
    """Weigh each example by the exponential of its loss, normalized within the batch."""

    t: float = setting(
        1.0, "in 1/units of the loss: above 0 for imbalance, below for label noise; 0 is plain training", "(-inf, inf)"
    )

    milder: ClassVar[str] = "take a smaller |t|"

    card: ClassVar[Card] = Card(
        name="tilted",
        title="Tilted empirical risk (TERM), batch by batch",
        paper="Li et al., Tilted Empirical Risk Minimization, ICLR 2021",
        equations="(1/t) log (1/B) Σ exp(t ℓ_i) (eq. 2)",
        family="instance weights",
        reduces_to_erm=({"t": 0.0},),
        cost="1.0 × the step of plain training",
    )

    def init(self, task: Task, make_net: MakeNet) -> TiltedState:
        """Return a fresh network."""
        return TiltedState(
            self.network(task, make_net), self.class_constants(task), 1 / self.t if self.t else float("inf")
        )

    def take(self, step: Step[TiltedState], losses: Tensor) -> None:
        """Take the losses into F_λ."""
        step.state.objective.update(losses)

    def instance_weights(self, step: Step[TiltedState], losses: Tensor) -> Tensor | None:
        """Return p_i B."""
        return tilted_weights(losses, self.t) if self.t else None

    def end_epoch(self, state: TiltedState, task: Task, clock: Clock, engine: Engine) -> Logs:
        """Return equation 2 over the epoch's examples, each at the network of its step."""
        return {"objective": state.objective.taken()}
