"""What methods that learn the examples' weights from a reference set have in common.

A step runs the batch, finds weights by how the reference set's loss would move, and minimizes the weighted losses of that same
forward. The reference set comes in batches of its own, as large as the training configuration's where `reference_batch` does not say otherwise; a
smaller set is taken whole.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor
from torch.func import functional_call

from skedastic.core.lookahead import products, run_with
from skedastic.core.replay import RandomState, replay
from skedastic.core.samplers import Sampler, Shuffle
from skedastic.core.tilted import effective_size
from skedastic.errors import UserError
from skedastic.methods.bases.method import (
    NEEDS_REFERENCE,
    REFERENCE,
    Batch,
    Clock,
    Engine,
    Logs,
    Objective,
    Out,
    State,
    Task,
    accuracy,
    outputs,
)
from skedastic.methods.bases.one_network import AXES, OneNetwork

SETTINGS = {
    **AXES,
    "reference_batch": "examples of a reference batch, as a share of a batch's, in (0, 1]; 1 is the authors', smaller is faster",
}


class Lookahead:
    """A step's batch, and what the network makes of it as it is: it runs when that is first asked for, once."""

    def __init__(self, method: LearnedWeights, state: State, batch: Batch, clock: Clock, engine: Engine) -> None:
        self.method, self.state, self.batch, self.clock, self.engine = method, state, batch, clock, engine
        self._before: RandomState | None = None

    @cached_property
    def out(self) -> Out:
        """The forward that the step is taken by."""
        self._before = RandomState.now(self.state)
        return self.method.forward(self.state, self.batch)

    @cached_property
    def losses(self) -> Tensor:
        """Its losses [B] with the classes' weights, and their graph."""
        return self.method.weighted(self.state, self.batch, self.out, self.clock)

    def products(self, direction: Sequence[Tensor]) -> Tensor:
        """Return ⟨u, ∇ℓ_i⟩ [B] of these losses for a direction u, a tensor for each trained parameter; with the same dropout."""
        method, state, batch = self.method, self.state, self.batch
        weight = method.class_weight(state, batch.y, self.clock)
        before = self._before or RandomState.now(state)  # from where the forward began, or will

        def losses_of(parameters: Mapping[str, Tensor]) -> Tensor:
            with replay(state, before):
                found = outputs(functional_call(state.net, dict(parameters), (batch.x,)))
            return method.with_weight(method.losses(state, found, batch.y), weight, found, batch.y)

        return products(losses_of, trained_parameters(state), direction)


@dataclass(frozen=True, kw_only=True)
class LearnedWeights(OneNetwork):
    """A method that weighs examples by what a reference set says: minimize (1/B) Σ_i v_i w_{y_i} ℓ_i."""

    reference_batch: float = 1.0

    weighs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.reference_batch <= 1:
            raise UserError(
                f"{type(self).__name__}(reference_batch={self.reference_batch}): a reference batch, as a share of a "
                f"batch, must be in (0, 1]; 1 is the authors'"
            )

    @abstractmethod
    def learned(self, state: Any, look: Lookahead) -> Tensor:
        """Return the weights v [B] of the batch's losses, detached. Keeps their graph."""

    def streams(self, task: Task) -> dict[str, Sampler]:
        """Return the sampler, and that of the reference set. Raises UserError where there is none."""
        if task.reference is None:
            raise UserError(f"{self.card.name} {NEEDS_REFERENCE}")
        return {**super().streams(task), REFERENCE: Shuffle()}

    def batch_shares(self) -> Mapping[str, float]:
        """Return `reference_batch`."""
        return {REFERENCE: self.reference_batch}

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return the mean of the losses as they are; a step weighs them."""
        return Objective(self.weighted(state, batch, out, clock).mean(), out.extra.detach())

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Learn the weights of the batch, and take the weighted step."""
        look = Lookahead(self, state, batch, clock, engine)
        weights = self.learned(state, look).detach()
        engine.update("main", (weights * look.losses).mean())
        logs = {"effective_size": effective_size(weights), "largest_weight": weights.max()}
        return {"loss": look.out.extra.detach(), **accuracy(look.out.logits, batch.y), **logs}

    def reference_gradients(
        self, state: State, parameters: Mapping[str, Tensor], engine: Engine
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss of the next reference batch at `parameters`, a scalar, and its gradients by them."""
        batch = engine.draw(REFERENCE)
        found = outputs(run_with(state.net, parameters, batch.x))
        loss = self.losses(state, found, batch.y).mean()
        return loss.detach(), engine.gradients(loss, list(parameters.values()))


def trained_parameters(state: State) -> dict[str, Tensor]:
    """Return the network's parameters that are trained, by name."""
    return {name: p for name, p in state.net.named_parameters() if p.requires_grad}
