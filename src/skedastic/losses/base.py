"""What a loss is: losses of single examples, not yet averaged, and what they ask of the data and of the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from skedastic.configurable import Configurable
from skedastic.core.tilted import single
from skedastic.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PerExampleLoss(Configurable, ABC):
    """A loss, with its parameters. What a subclass says of itself:

    supports: "classification" (outputs are logits), "regression", or both. soft: it takes labels [B, C] that sum to 1 too.
    of_batch: it is one number of the whole batch, and can't be weighted example by example. cosines: it reads cosines, and
    scales them itself. outputs: how many numbers a network gives for each class, or for each real target. requires: what else
    it takes, in words. reduces_to_cross_entropy: settings in which it equals cross entropy.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"classification"})
    soft: ClassVar[bool] = False
    of_batch: ClassVar[bool] = False
    cosines: ClassVar[bool] = False
    outputs: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ()
    reduces_to_cross_entropy: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    def __call__(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None = None) -> Tensor:
        """Return the losses [B] of network outputs against targets y.

        outputs: logits [B, C], or for real targets [B] ([B, 2] where the loss has two outputs); half precision is computed in
        single. y: [B] int64 in 0..C-1, or soft [B, C]; real [B]. of_classes: what `self.of_classes(count)` gave.
        Raises UserError where the shapes do not fit, labels are soft and the loss needs whole numbers, or classes are unknown.
        """
        self._check(outputs, y)
        outputs = single(outputs)
        if of_classes is None and type(self).of_classes is not PerExampleLoss.of_classes:
            rule = (
                "call it with (outputs, y, loss.of_classes(count)), where count [C] is the number of training examples of "
                "each class"
            )
            raise UserError(rule, setting="of_classes", given=f"{type(self).__name__} needs to know the classes")
        return self.losses(outputs, y, of_classes)

    @abstractmethod
    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses [B]; everything is checked and in single precision or better."""

    def weighted(self, losses: Tensor, weight: Tensor, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses [B] with the weights [B] of their classes in them: their product, unless a loss has another way.

        losses: what the call gave of `outputs` and `y`.
        """
        return losses * weight

    def of_classes(self, count: Tensor) -> Tensor | None:
        """Return what the loss needs to know of each class, [C] float32, from the numbers of examples [C]; None: nothing."""
        return None

    def least_batch(self, classes: int) -> int:
        """Return the size of the smallest batch that the loss takes."""
        return 2

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return logits [B, C] whose softmax is the prediction, or the predicted numbers [B]."""
        return outputs

    def _check(self, outputs: Tensor, y: Tensor) -> None:
        name, size = type(self).__name__, list(outputs.shape)
        if "classification" not in self.supports or (outputs.dim() == 1 and "regression" in self.supports):
            wanted = size[:1] if self.outputs == 1 else [*size[:1], self.outputs]
            if outputs.dim() == 0 or size != wanted or list(y.shape) != size[:1]:
                shape = "[batch]" if self.outputs == 1 else f"[batch, {self.outputs}]"
                rule = f"give outputs {shape}, targets [batch]"
                given = f"{name}: outputs {size} against targets {list(y.shape)}"
                raise UserError(rule, setting="outputs", value=size, given=given)
            return
        if outputs.dim() != 2:
            rule = "they are no logits; give [batch, classes]"
            raise UserError(rule, setting="outputs", value=size, given=f"{name}: outputs {size}")
        if y.dim() == 2 and not y.is_floating_point():
            rule = "give whole numbers [batch], or soft labels as reals"
            given = f"{name}: labels {list(y.shape)} of {y.dtype}"
            raise UserError(rule, setting="y", value=list(y.shape), given=given)
        if y.dim() == 2 or y.is_floating_point():
            if not self.soft:
                rule = f"it needs whole-number labels [{len(outputs)}]; use cross-entropy, or y.argmax(1)"
                raise UserError(rule, setting="y", value=list(y.shape), given=f"{name}: soft labels {list(y.shape)}")
            if list(y.shape) != size:
                given = f"{name}: soft labels {list(y.shape)} for logits {size}"
                raise UserError("the shapes must be equal", setting="y", value=list(y.shape), given=given)
        elif list(y.shape) != size[:1]:
            given = f"{name}: labels {list(y.shape)} for logits {size}"
            raise UserError("give one label for each row", setting="y", value=list(y.shape), given=given)


def log_probability(logits: Tensor, y: Tensor) -> Tensor:
    """Return log softmax(logits)_y, [B], each ≤ 0 and finite for finite logits [B, C]; y [B] int64."""
    return logits.log_softmax(1).gather(1, y[:, None]).squeeze(1)


def log_rest(logits: Tensor, y: Tensor) -> Tensor:
    """Return log(1 − softmax(logits)_y), [B], exact where the probability is 1 in floating point; finite for C ≥ 2."""
    others = logits.scatter(1, y[:, None], float("-inf"))
    return others.logsumexp(1) - logits.logsumexp(1)
