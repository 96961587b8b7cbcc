"""What methods that train one network have in common: the axes that a user chooses independently of the method.

The loss, the weights of classes in it, the sampler and the network's last layer. A method that weighs examples has
`instance_weights` besides, and minimizes (1/B) Σ_i p_i w_{y_i} ℓ_i, p detached.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skedastic.core.class_weights import ClassWeights
from skedastic.core.epochs import epoch_of
from skedastic.core.heads import AutoHead, Cosine, Head, find_head, put_head
from skedastic.core.samplers import Rows, Sampler, Shuffle
from skedastic.core.tilted import effective_size
from skedastic.errors import UserError
from skedastic.losses import PerExampleLoss
from skedastic.losses.auto import Auto
from skedastic.methods.base import Batch, Clock, Engine, Method, Metrics, Objective, Out, State, Task, outputs

AXES = {
    "loss": "of each example: auto (cross entropy of classes, squared error of numbers), or any loss with its parameters, "
    "such as focal(gamma=1) or ldam",
    "class_weights": "of the classes in the loss: inverse, effective-number(beta=0.9999), balanced, given(weights_of={…}), or any "
    "of them deferred(…, start=0.8) to a fraction of the epochs, or an epoch",
    "sampler": "which examples an epoch visits, always as many as there are: shuffle, class-balanced, square-root, "
    "progressively-balanced, reversed or group-balanced",
    "head": "the network's last layer: linear, cosine(scale=16), or auto: the one that the loss was made for",
}


class OneNetworkState(State):
    """A network, and what its loss knows of the classes."""

    of_classes: Tensor | None
    class_weight: Tensor | None

    def __init__(self, net: nn.Module, of_classes: Tensor | None = None, class_weight: Tensor | None = None) -> None:
        super().__init__(net)
        self.register_buffer("of_classes", of_classes)  # [C], as the loss has it
        self.register_buffer("class_weight", class_weight)  # [C]


@dataclass(frozen=True, kw_only=True)
class OneNetwork(Method):
    """A method that trains one network on losses of single examples."""

    loss: PerExampleLoss = field(default_factory=Auto)
    class_weights: ClassWeights | None = None
    sampler: Sampler = field(default_factory=Shuffle)
    head: Head = field(default_factory=AutoHead)

    weighs: ClassVar[bool] = False  # whether it looks at single examples' losses

    def __post_init__(self) -> None:
        if self.loss.of_batch and (self.weighs or self.class_weights is not None):
            what = "class_weights" if self.class_weights is not None else self.card.name
            raise UserError(
                f"{what} with loss={type(self.loss).__name__}: that loss is one number of a whole batch, and there is nothing "
                "in it to weigh; take another loss, or erm without class_weights"
            )

    @property
    def supports(self) -> frozenset[str]:
        """The tasks that the method and all of its parts are for."""
        able = self.card.supports & self.loss.supports & self.sampler.supports
        return able if self.class_weights is None else able & {"classification"}

    def least_batch(self, task: Task) -> int:
        """Return what the loss takes."""
        return self.loss.least_batch(len(task.classes))

    def streams(self, task: Task) -> dict[str, Sampler]:
        """Return the sampler; refuses one that is asked for a class without examples."""
        if len(task.group):
            self.sampler.check(Rows(task.y, task.group, task.classes, task.groups))
        return {"main": self.sampler}

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> OneNetworkState:
        """Return a fresh network, and what the loss knows of the classes."""
        return OneNetworkState(self.network(task, make_net), *self.known(task))

    def network(self, task: Task, make_net: Callable[[], nn.Module]) -> nn.Module:
        """Return a fresh network with the head that was asked for."""
        net = make_net()
        made, wanted = len(task.classes) or 1, self.outputs_for(task)
        has_cosines = any(isinstance(module, Cosine) for module in net.modules())
        if isinstance(self.head, AutoHead) and made == wanted and not has_cosines and not self.loss.cosines:
            return net  # as it is: it need have no last layer that can be found
        parent, name, head = find_head(net, made, wanted)
        new = self.head.made(head, wanted, scaled_by_loss=self.loss.cosines)
        if new is not head:
            put_head(parent, name, new)
        return net

    def outputs_for(self, task: Task) -> int:
        """Return how many numbers the network gives: one for each class, or what the loss takes of each real target."""
        return len(task.classes) or self.loss.outputs

    def known(self, task: Task) -> tuple[Tensor | None, Tensor | None]:
        """Return what the loss needs to know of the classes, and their weights."""
        weights = None if self.class_weights is None else self.class_weights(task.class_count, task.classes)
        return self.loss.of_classes(task.class_count) if task.classes else None, weights

    def forward(self, state: State, batch: Batch) -> Out:
        """Run the network and the loss on a batch; `extra` is the losses [B]."""
        found = outputs(state.net(batch.x))
        return Out(found, self.losses(state, found, batch.y))

    def losses(self, state: State, found: Tensor, y: Tensor) -> Tensor:
        """Return the losses [B], unweighted."""
        assert isinstance(state, OneNetworkState)
        return self.loss(found, y, state.of_classes)

    def class_weight(self, state: State, y: Tensor, clock: Clock) -> Tensor | None:
        """Return the weights [B] of the classes of y, None where none are in force."""
        assert isinstance(state, OneNetworkState)
        if self.class_weights is None or clock.epoch < epoch_of(self.class_weights.begins, clock.epochs):
            return None
        assert state.class_weight is not None
        return y.to(state.class_weight.dtype) @ state.class_weight if y.dim() == 2 else state.class_weight[y]

    def weighted(self, state: State, batch: Batch, losses: Tensor, clock: Clock) -> Tensor:
        """Return the losses [B] times the weights of their classes."""
        weight = self.class_weight(state, batch.y, clock)
        return losses if weight is None else losses * weight

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return the logits [B, C] whose softmax the loss fits, or standardized numbers [B]."""
        return self.loss.predicted(outputs(state.net(x)))


FEW = 0.05  # of the examples of a batch


class WeighingState(OneNetworkState):
    """A state that remembers the lowest loss of the epoch, and how many of the examples the weights rested on."""

    lowest: Tensor
    share: Tensor
    so_far: Tensor

    def __init__(self, net: nn.Module, of_classes: Tensor | None = None, class_weight: Tensor | None = None) -> None:
        super().__init__(net, of_classes, class_weight)
        self.register_buffer("lowest", torch.tensor(float("inf")))
        self.register_buffer("share", torch.tensor(1.0))  # effective size over batch size, in the last epoch
        self.register_buffer("so_far", torch.zeros(2))  # the sum of it in this epoch, and of how many batches


@dataclass(frozen=True, kw_only=True)
class Weighing(OneNetwork):
    """A method that weighs examples by their losses: minimize (1/B) Σ_i p_i ℓ_i, where ℓ has the classes' weights in it."""

    weighs: ClassVar[bool] = True
    milder: ClassVar[str] = "choose a milder one"  # what to do where it weighs too hard

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> WeighingState:
        """Return a fresh network, and what the loss knows of the classes."""
        return WeighingState(self.network(task, make_net), *self.known(task))

    @abstractmethod
    def instance_weights(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> Tensor | None:
        """Return the weights p [B] ≥ 0 of losses [B], detached; None where all are 1. Pure: `observe` has run."""

    def observe(self, state: State, batch: Batch, out: Out, clock: Clock) -> None:
        """Remember the lowest loss, and let the method take the losses."""
        assert isinstance(state, WeighingState)
        losses = self.weighted(state, batch, out.extra, clock)
        state.lowest.copy_(torch.minimum(state.lowest, losses.min().to(state.lowest)))
        self.take(state, batch, losses, clock)

    def take(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> None:
        """Change the state by the losses [B] of a batch; without gradients."""
        return

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return the weighted mean, and what is to be known of the weights."""
        losses = self.weighted(state, batch, out.extra, clock)
        weights = self.instance_weights(state, batch, losses.detach(), clock)
        if weights is None:
            return Objective(losses.mean(), out.extra.detach())
        logs = {"effective_size": effective_size(weights), "largest_weight": weights.max()}
        return Objective((weights * losses).mean(), out.extra.detach(), logs)

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Metrics:
        """Take a step, and remember how many examples its weights rested on."""
        assert isinstance(state, WeighingState)
        metrics = super().step(state, batch, clock, engine)
        if "effective_size" in metrics:
            state.so_far[0] += metrics["effective_size"] / len(batch.y)
            state.so_far[1] += 1
        return metrics

    def remarks(self, state: State) -> tuple[str, ...]:
        """Say so where nearly all weight was on a few examples at the end."""
        assert isinstance(state, WeighingState)
        if state.share >= FEW:
            return ()
        return (
            f"{self.card.name}: in the last epoch the weights of a batch rested on fewer than a twentieth of its examples "
            "(effective_size in the history), and the others were hardly trained. Its losses are too large for this setting: "
            f"{self.milder}.",
        )

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Metrics | None:
        """Warn where losses are negative, since weights of classes then do the opposite."""
        assert isinstance(state, WeighingState)
        if state.so_far[1] > 0:
            state.share.copy_(state.so_far[0] / state.so_far[1])
            state.so_far.zero_()
        if clock.epoch == 0 and state.lowest < 0:
            warnings.warn(
                f"{self.card.name}: losses are negative (down to {float(state.lowest):.3g}). Its weights go by differences of "
                "losses, and are as meant; but class weights above 1 make a negative loss smaller, and so do the opposite",
                stacklevel=2,
            )
        return None
