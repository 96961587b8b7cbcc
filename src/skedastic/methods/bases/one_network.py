"""The base of methods that train one network: the axes that a user chooses independently of the method.

They are the loss, the weights of classes in it, the sampler and the network's last layer. By itself it minimizes the
mean of the losses, (1/B) Σ_i w_{y_i} ℓ_i: plain training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

from torch import Tensor, nn
from typing_extensions import TypeVar

from skedastic.configurable import setting
from skedastic.core.class_weights import ClassWeights
from skedastic.core.heads import AutoHead, Cosine, Head, find_head, put_head
from skedastic.core.predicting import Predicting
from skedastic.core.samplers import Sampler, Shuffle
from skedastic.errors import UserError
from skedastic.losses import PerExampleLoss
from skedastic.losses.auto import Auto
from skedastic.losses.corrected import Corrected
from skedastic.losses.cross_entropy import CrossEntropy
from skedastic.methods.bases.card import (
    ANY_TASK,
    CLASSIFICATION,
    GROUP_STATS,
    LAST_LAYER,
    MIXED,
    REFERENCE,
    TRANSITIONS,
    Capabilities,
    ProbabilitiesOf,
)
from skedastic.methods.bases.method import MakeNet, Method
from skedastic.methods.bases.step import Batch, Clock, Objective, Out, State, Step, outputs
from skedastic.methods.bases.task import Task

INTEGERS = "loss={loss} takes whole-number labels, and a mixture's are soft; take loss=cross-entropy"


class ClassConstants(NamedTuple):
    """The constants of the classes in a loss.

    Parameters
    ----------
    of_classes : Tensor, optional
        As `PerExampleLoss.of_classes` gives them.
    weight : Tensor, optional
        The weights of the classes, [C] ≥ 0.
    """

    of_classes: Tensor | None = None
    weight: Tensor | None = None


NOTHING = ClassConstants()


class WithFeatures(NamedTuple):
    """`Out.extra` of a method whose objective reads the features in front of the head."""

    losses: Tensor  # [B]
    features: Tensor | None  # [B, d]; None where the method has no use for them


class OneNetworkState(State):
    """A network, and the constants of the classes in its loss.

    Parameters
    ----------
    net : nn.Module
        The network.
    constants : ClassConstants
        The constants.
    """

    of_classes: Tensor | None
    class_weight: Tensor | None

    def __init__(self, net: nn.Module, constants: ClassConstants = NOTHING) -> None:
        super().__init__(net)
        self.register_buffer("of_classes", constants.of_classes)
        self.register_buffer("class_weight", constants.weight)


N = TypeVar("N", bound=OneNetworkState, default=Any)


@dataclass(frozen=True, kw_only=True)
class OneNetwork(Method[N]):
    """A method that trains one network on losses of single examples."""

    loss: PerExampleLoss = setting(
        factory=Auto,
        meaning="of each example: auto (cross entropy of classes, squared error of numbers), or any loss with its "
        "parameters, such as focal(gamma=1) or ldam",
    )
    class_weights: ClassWeights | None = setting(
        None,
        "of the classes in the loss: inverse, effective-number(beta=0.9999), balanced, given(weights_of={…}), or any "
        "of them deferred(…, start=0.8) to a fraction of the epochs, an epoch, or the first drop of the learning rate",
    )
    sampler: Sampler = setting(
        factory=Shuffle,
        meaning="which examples an epoch visits, always as many as there are: shuffle, class-balanced, square-root, "
        "progressively-balanced, reversed or group-balanced",
    )
    head: Head = setting(
        factory=AutoHead,
        meaning="the network's last layer: linear, cosine(scale=16), or auto: the one that fits the loss",
    )

    weighs: ClassVar[bool] = False  # whether it goes by single examples' losses

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss.of_batch and (self.weighs or self.class_weights is not None):
            by = "class_weights" if self.class_weights is not None else self.card.name
            rule = (
                f"that loss is one number of a whole batch, with nothing for {by} to weigh; take another loss, or erm "
                "without class_weights"
            )
            raise UserError(rule, setting=self.place("loss"), value=self.loss.shown_name())
        if self.loss.by_transitions and REFERENCE in self.card.capabilities.needs:
            rule = f"{self.card.name} learns from labels that are right, which that loss would take for wrong ones"
            raise UserError(f"{rule}; leave it out", setting=self.place("loss"), value=self.loss.shown_name())

    @property
    def capabilities(self) -> Capabilities:
        """Those of the method and of all of its parts."""
        loss = self.loss
        own_head = not isinstance(self.head, AutoHead) or loss.cosines or loss.outputs != 1
        hard = not loss.soft and "classification" in loss.supports
        parts = Capabilities(
            tasks=loss.supports & self.sampler.supports & (ANY_TASK if self.class_weights is None else CLASSIFICATION),
            needs=frozenset({GROUP_STATS, TRANSITIONS} if loss.by_transitions else ()),
            takes=(*loss.requires, *([LAST_LAYER] if own_head else [])),
            incompatible_with={MIXED: INTEGERS.format(loss=loss.shown_name())} if hard else {},
        )
        return super().capabilities & parts

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """True classes where the loss is corrected, and the labels that it sees are as frequent as they are."""
        true = self.loss == Corrected() and self.class_weights is None and self.sampler == Shuffle()
        return "true classes" if true else super().probabilities_of

    @property
    def fits_labels(self) -> bool:
        """Whether its loss by itself is smallest at the chances of the labels as they are given."""
        return self.fits_cross_entropy and self.class_weights is None and self.sampler == Shuffle()

    @property
    def fits_cross_entropy(self) -> bool:
        """Whether its loss of classes is cross entropy, no more and no less."""
        return isinstance(self.loss, Auto) or self.loss == CrossEntropy()

    def least_batch(self, task: Task) -> int:
        """Return the size of the smallest batch that the loss takes."""
        return self.loss.least_batch(len(task.classes))

    def streams(self, task: Task) -> dict[str, Sampler]:
        """Return the sampler."""
        return {"main": self.sampler}

    def init(self, task: Task, make_net: MakeNet) -> N:
        """Return a fresh network, and the loss's constants. A method with a state of its own overrides it."""
        return cast(N, OneNetworkState(self.network(task, make_net), self.class_constants(task)))

    def network(self, task: Task, make_net: MakeNet) -> nn.Module:
        """Return a fresh network with the head that was asked for.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.
        make_net : callable
            Gives a newly initialized network each time.
        """
        net = make_net()
        own, wanted = len(task.classes) or 1, self.outputs_for(task)
        fits = own == wanted and not self.loss.cosines and not any(isinstance(m, Cosine) for m in net.modules())
        if isinstance(self.head, AutoHead) and fits:
            return net  # as it is: its last layer need not be one that `find_head` knows
        return self.with_head(net, task, own, wanted)

    def with_head(self, net: nn.Module, task: Task, *sizes: int) -> nn.Module:
        """Return a network with the head that was asked for.

        Parameters
        ----------
        net : nn.Module
            The network; it is changed in place.
        task : Task
            The data, as far as a method may know them.
        *sizes : int
            How many numbers its own head may give.
        """
        parent, name, head = find_head(net, *sizes)
        new = self.head.replacement(head, self.outputs_for(task), scaled_by_loss=self.loss.cosines)
        if new is not head:
            put_head(parent, name, new)
        return net

    def outputs_for(self, task: Task) -> int:
        """Return how many numbers the network gives: one for each class, or as many as the loss takes of each number.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.
        """
        return len(task.classes) or self.loss.outputs

    def class_constants(self, task: Task) -> ClassConstants:
        """Return the loss's constants of the classes, and their weights.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.
        """
        weights = None if self.class_weights is None else self.class_weights(task.class_count, task.classes)
        transitions = None if task.transitions is None else task.transitions.matrix
        of_classes = self.loss.of_classes(task.class_count, transitions) if task.classes else None
        return ClassConstants(of_classes, weights)

    def forward(self, state: N, batch: Batch) -> Out:
        """Run the network and the loss on a batch; `extra` is the losses [B]."""
        logits = outputs(state.net(batch.x))
        return Out(logits, self.losses(state, logits, batch.y))

    def objective(self, step: Step[N]) -> Objective:
        """Return the mean of the losses, weighted by class where weights are in force."""
        return Objective(self.weighted(step).mean(), step.out.extra.detach())

    def losses(self, state: N, logits: Tensor, y: Tensor) -> Tensor:
        """Return the losses, [B], without the classes' weights.

        Parameters
        ----------
        state : State
            The method's state.
        logits : Tensor
            The network's output, [B, C] or [B].
        y : Tensor
            The targets, [B] or [B, C].
        """
        return self.loss(logits, y, state.of_classes)

    def class_weight(self, state: N, y: Tensor, clock: Clock) -> Tensor | None:
        """Return the weights of the examples' classes, [B]; None where none are in force.

        Parameters
        ----------
        state : State
            The method's state.
        y : Tensor
            Labels, [B] int64 or soft [B, C].
        clock : Clock
            Where training stands.
        """
        if self.class_weights is None or not clock.begun(self.class_weights.begins):
            return None
        assert state.class_weight is not None
        return y.to(state.class_weight.dtype) @ state.class_weight if y.dim() == 2 else state.class_weight[y]

    def weighted(self, step: Step[N]) -> Tensor:
        """Return the losses of a forward, [B], with the weights of their classes in them.

        Parameters
        ----------
        step : Step
            The step after its forward. Its forward's `extra` is the losses.
        """
        y, out = step.batch.y, step.out
        return self.with_weight(out.extra, self.class_weight(step.state, y, step.clock), out.logits, y)

    def with_weight(self, losses: Tensor, weight: Tensor | None, logits: Tensor, y: Tensor) -> Tensor:
        """Return losses with weights in them, [B], where there are any.

        Parameters
        ----------
        losses : Tensor
            [B].
        weight : Tensor or None
            The weights of the examples' classes, [B].
        logits : Tensor
            The output that the losses are of, [B, C].
        y : Tensor
            Labels, [B] int64 or soft [B, C].
        """
        return losses if weight is None else self.loss.weighted(losses, weight, logits, y)

    def net(self, state: N) -> nn.Module:
        """Return the network, with what its loss makes of its outputs."""
        as_they_are = type(self.loss).predicted is PerExampleLoss.predicted
        return state.net if as_they_are else Predicting(state.net, self.loss.predicted)

    def predict(self, state: N, x: Tensor) -> Tensor:
        """Return the logits [B, C] whose softmax the loss fits, or standardized numbers [B]."""
        return self.loss.predicted(outputs(state.net(x)))
