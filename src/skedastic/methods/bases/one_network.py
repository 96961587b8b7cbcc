"""What methods that train one network have in common: the axes that a user chooses independently of the method.

The loss, the weights of classes in it, the sampler and the network's last layer. A method that weighs examples has
`instance_weights` besides, and minimizes (1/B) Σ_i p_i w_{y_i} ℓ_i, p detached.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from skedastic.core.class_weights import ClassWeights
from skedastic.core.epochs import epoch_of
from skedastic.core.heads import AutoHead, Cosine, Head, find_head, put_head
from skedastic.core.samplers import RowLabels, Sampler, Shuffle
from skedastic.core.tilted import effective_size
from skedastic.errors import UserError
from skedastic.losses import PerExampleLoss
from skedastic.losses.auto import Auto
from skedastic.methods.bases.method import LAST_LAYER, MIXED, Batch, Clock, Method, Objective, Out, State, Task, outputs

AXES = {
    "loss": "of each example: auto (cross entropy of classes, squared error of numbers), or any loss with its parameters, "
    "such as focal(gamma=1) or ldam",
    "class_weights": "of the classes in the loss: inverse, effective-number(beta=0.9999), balanced, given(weights_of={…}), or any "
    "of them deferred(…, start=0.8) to a fraction of the epochs, or an epoch",
    "sampler": "which examples an epoch visits, always as many as there are: shuffle, class-balanced, square-root, "
    "progressively-balanced, reversed or group-balanced",
    "head": "the network's last layer: linear, cosine(scale=16), or auto: the one that the loss was made for",
}


INTEGERS = "loss={loss} takes whole-number labels, and a mixture's are soft; take loss=cross-entropy"


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

    @property
    def requirements(self) -> tuple[str, ...]:
        """What the method and all of its parts need, in words."""
        own_head = not isinstance(self.head, AutoHead) or self.loss.cosines or self.loss.outputs != 1
        return (*super().requirements, *self.loss.requires, *([LAST_LAYER] if own_head else []))

    @property
    def incompatible_with(self) -> Mapping[str, str]:
        """How the method, and its loss, can't be wrapped."""
        soft = self.loss.soft or "classification" not in self.loss.supports
        return (
            super().incompatible_with
            if soft
            else {MIXED: INTEGERS.format(loss=type(self.loss).__name__), **super().incompatible_with}
        )

    def least_batch(self, task: Task) -> int:
        """Return what the loss takes."""
        return self.loss.least_batch(len(task.classes))

    def streams(self, task: Task) -> dict[str, Sampler]:
        """Return the sampler; refuses one that is asked for a class without examples."""
        if len(task.group):
            self.sampler.check(RowLabels(task.y, task.group, task.classes, task.groups))
        return {"main": self.sampler}

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> OneNetworkState:
        """Return a fresh network, and what the loss knows of the classes."""
        return OneNetworkState(self.network(task, make_net), *self.known(task))

    def network(self, task: Task, make_net: Callable[[], nn.Module]) -> nn.Module:
        """Return a fresh network with the head that was asked for."""
        net = make_net()
        made, wanted = len(task.classes) or 1, self.outputs_for(task)
        fits = made == wanted and not self.loss.cosines and not any(isinstance(m, Cosine) for m in net.modules())
        if isinstance(self.head, AutoHead) and fits:
            return net  # as it is: it need have no last layer that can be found
        return self.with_head(net, task, made, wanted)

    def with_head(self, net: nn.Module, task: Task, *sizes: int) -> nn.Module:
        """Return the network, whose head gives one of `sizes` numbers, with the head that was asked for."""
        parent, name, head = find_head(net, *sizes)
        new = self.head.made(head, self.outputs_for(task), scaled_by_loss=self.loss.cosines)
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

    def weighted(self, state: State, batch: Batch, out: Out, clock: Clock) -> Tensor:
        """Return the losses [B] of a forward with the weights of their classes in them."""
        return self.with_weight(out.extra, self.class_weight(state, batch.y, clock), out.logits, batch.y)

    def with_weight(self, losses: Tensor, weight: Tensor | None, found: Tensor, y: Tensor) -> Tensor:
        """Return the losses [B] of outputs `found` with weights [B] in them, where there are any."""
        return losses if weight is None else self.loss.weighted(losses, weight, found, y)

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return the logits [B, C] whose softmax the loss fits, or standardized numbers [B]."""
        return self.loss.predicted(outputs(state.net(x)))


FEW = 0.05  # of the examples of a batch


@dataclass(frozen=True, kw_only=True)
class Reweighting(OneNetwork):
    """A method that weighs examples by their losses: minimize (1/B) Σ_i p_i ℓ_i, where ℓ has the classes' weights in it."""

    weighs: ClassVar[bool] = True
    milder: ClassVar[str] = ""  # what to do where it weighs harder than was meant

    @abstractmethod
    def instance_weights(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> Tensor | None:
        """Return the weights p [B] ≥ 0 of losses [B], detached; None where all are 1. Pure: `observe` has run."""

    def take(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> None:
        """Change the state by the losses [B] of a batch; without gradients."""
        return

    def observe(self, state: State, batch: Batch, out: Out, clock: Clock) -> None:
        """Let the method take the losses, with the classes' weights."""
        self.take(state, batch, self.weighted(state, batch, out, clock), clock)

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return the weighted mean, and what is to be known of the weights."""
        losses = self.weighted(state, batch, out, clock)
        seen = losses.detach()
        weights = self.instance_weights(state, batch, seen, clock)
        if weights is None:
            return Objective(losses.mean(), out.extra.detach())
        logs = {
            "effective_size": effective_size(weights),
            "largest_weight": weights.max(),
            "negative_losses": (seen < 0).float(),
        }
        return Objective((weights * losses).mean(), out.extra.detach(), logs)

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Say so where nearly all weight was on a few examples at the end, and where losses were negative."""
        found = []
        if self.milder and rows and rows[-1].get("effective_size", batch_size) < FEW * batch_size:
            found.append(
                f"{self.card.name}: in the last epoch the weights of a batch rested on fewer than a twentieth of its examples "
                "(effective_size in the history), and the others were hardly trained. Its losses are too large for this "
                f"setting: {self.milder}."
            )
        if any(row.get("negative_losses", 0) > 0 for row in rows):
            found.append(
                f"{self.card.name}: some losses were below 0. Its weights go by differences of losses, and are as meant; but an "
                "objective below 0 is no error, and weights that multiply losses make a negative one smaller, not larger."
            )
        return tuple(found)
