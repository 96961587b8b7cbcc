"""The base of methods that learn the examples' weights from a reference set.

A step runs the batch, finds weights by how the reference set's loss would move, and minimizes the weighted losses of
that same forward. The reference set comes in batches of its own, as large as the training configuration's where
`reference_batch` does not say otherwise; a smaller set is taken whole.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Generic

from torch import Tensor
from torch.func import functional_call

from skedastic.configurable import setting
from skedastic.core.lookahead import products, run_with
from skedastic.core.replay import RandomState, replay
from skedastic.core.samplers import Sampler, Shuffle
from skedastic.core.tilted import effective_size
from skedastic.methods.bases.card import REFERENCE, without_reference
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.one_network import N, OneNetwork
from skedastic.methods.bases.step import Batch, Clock, Logs, Out, State, Step, accuracy, outputs
from skedastic.methods.bases.task import Task


class Lookahead(Generic[N]):
    """A step's batch, and the network's forward of it, which runs once, when it is first asked for.

    Parameters
    ----------
    method : LearnedWeights
        The method that takes the step.
    state : State
        The method's state.
    batch : Batch
        B examples.
    clock : Clock
        Where training stands.
    engine : Engine
        It steps the optimizers.
    """

    def __init__(self, method: LearnedWeights[N], state: N, batch: Batch, clock: Clock, engine: Engine) -> None:
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
        return self.method.weighted(Step(self.state, self.batch, self.out, self.clock))

    def products(self, direction: Sequence[Tensor]) -> Tensor:
        """Return the per-example JVPs ⟨u, ∇ℓ_i⟩, [B], with the same dropout as the forward.

        Parameters
        ----------
        direction : sequence of Tensor
            u, a tensor for each trained parameter, of its shape.
        """
        method, state, batch = self.method, self.state, self.batch
        weight = method.class_weight(state, batch.y, self.clock)
        before = self._before or RandomState.now(state)  # from where the forward began, or will

        def losses_of(parameters: Mapping[str, Tensor]) -> Tensor:
            with replay(state, before):
                logits = outputs(functional_call(state.net, dict(parameters), (batch.x,)))
            return method.with_weight(method.losses(state, logits, batch.y), weight, logits, batch.y)

        return products(losses_of, trained_parameters(state), direction)


@dataclass(frozen=True, kw_only=True)
class LearnedWeights(OneNetwork[N]):
    """A method that weighs examples by the loss of a reference set: minimize (1/B) Σ_i v_i w_{y_i} ℓ_i."""

    reference_batch: float = setting(
        1.0, "examples of a reference batch, as a share of a batch's; 1 is the authors', smaller is faster", "(0, 1]"
    )

    weighs: ClassVar[bool] = True

    @abstractmethod
    def learned(self, lookahead: Lookahead[N]) -> Tensor:
        """Return the weights v of the batch's losses, [B], detached. It keeps the losses' graph.

        Parameters
        ----------
        lookahead : Lookahead
            The step's batch and its forward.
        """

    def streams(self, task: Task) -> dict[str, Sampler]:
        """Return the sampler, and that of the reference set. Raises UserError where there is none."""
        if task.reference is None:
            raise without_reference(self.card.name)
        return {**super().streams(task), REFERENCE: Shuffle()}

    def batch_shares(self) -> Mapping[str, float]:
        """Return `reference_batch`."""
        return {REFERENCE: self.reference_batch}

    def step(self, state: N, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Learn the weights of the batch, and take the weighted step."""
        lookahead = Lookahead(self, state, batch, clock, engine)
        weights = self.learned(lookahead).detach()
        engine.update("main", (weights * lookahead.losses).mean())
        logs = {"effective_size": effective_size(weights), "largest_weight": weights.max()}
        out = lookahead.out
        return {"loss": out.extra.detach(), **accuracy(out.logits, batch.y), **logs}

    def reference_gradients(
        self, state: N, parameters: Mapping[str, Tensor], engine: Engine
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss of the next reference batch, a scalar, and its gradients.

        Parameters
        ----------
        state : State
            The method's state.
        parameters : mapping of Tensor
            The parameters to take them at, by name.
        engine : Engine
            It steps the optimizers.
        """
        batch = engine.draw(REFERENCE)
        logits = outputs(run_with(state.net, parameters, batch.x))
        loss = self.losses(state, logits, batch.y).mean()
        return loss.detach(), engine.gradients(loss, list(parameters.values()))


def trained_parameters(state: State) -> dict[str, Tensor]:
    """Return the network's parameters that are trained, by name.

    Parameters
    ----------
    state : State
        The method's state.
    """
    return {name: p for name, p in state.net.named_parameters() if p.requires_grad}
