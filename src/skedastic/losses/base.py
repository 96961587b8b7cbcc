"""The interface of a loss: losses of single examples, not yet averaged, and their needs of data and network."""

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
    """A loss, with its parameters.

    Attributes
    ----------
    supports : frozenset of str
        "classification" (outputs are logits), "regression", or both.
    soft : bool
        Whether it also takes labels [B, C] that sum to 1.
    of_batch : bool
        Whether it is one number of the whole batch, and can't be weighted example by example.
    cosines : bool
        Whether it reads cosines, and scales them itself.
    by_transitions : bool
        Whether it goes by how labels go wrong, so that the network predicts the true classes.
    outputs : int
        How many numbers a network gives for each class, or for each real target.
    requires : tuple of str
        Its other requirements, in words.
    reduces_to_cross_entropy : tuple of Mapping
        Settings in which it equals cross entropy.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"classification"})
    soft: ClassVar[bool] = False
    of_batch: ClassVar[bool] = False
    cosines: ClassVar[bool] = False
    by_transitions: ClassVar[bool] = False
    outputs: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ()
    reduces_to_cross_entropy: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    def __call__(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None = None) -> Tensor:
        """Return the losses of network outputs against targets, [B].

        Parameters
        ----------
        outputs : Tensor
            Logits [B, C]; for real targets [B], or [B, 2] where the loss has two outputs. Half precision is computed in
            single.
        y : Tensor
            Labels, [B] int64 in 0..C-1 or soft [B, C]; or real targets, [B].
        of_classes : Tensor, optional
            The result of `self.of_classes(count, transitions)`.

        Raises
        ------
        UserError
            The shapes do not fit, labels are soft and the loss needs whole numbers, or it needs `of_classes`.
        """
        self._check(outputs, y)
        outputs = single(outputs)
        if of_classes is None and type(self).of_classes is not PerExampleLoss.of_classes:
            rule = (
                "call it with (outputs, y, loss.of_classes(count)), where count [C] is the number of training examples "
                "of each class" + ", and loss.of_classes(count, transitions) with T [C, C]" * self.by_transitions
            )
            raise UserError(rule, setting="of_classes", given=f"{type(self).__name__} needs to know the classes")
        return self.losses(outputs, y, of_classes)

    @abstractmethod
    def losses(self, outputs: Tensor, y: Tensor, of_classes: Tensor | None) -> Tensor:
        """Return the losses, [B].

        Parameters
        ----------
        outputs : Tensor
            As in the call, checked, and in single precision or better.
        y : Tensor
            As in the call, checked.
        of_classes : Tensor or None
            As in the call.
        """

    def weighted(self, losses: Tensor, weight: Tensor, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses with the weights of their classes in them, [B]: by default their product.

        Parameters
        ----------
        losses : Tensor
            The result of the call on `outputs` and `y`, [B].
        weight : Tensor
            The weight of each example's class, [B] ≥ 0.
        outputs, y : Tensor
            As in the call.
        """
        return losses * weight

    def of_classes(self, count: Tensor, transitions: Tensor | None = None) -> Tensor | None:
        """Return the loss's constants of each class, [C] or [C, C] float32; None where it needs none.

        Parameters
        ----------
        count : Tensor
            Training examples of each class, [C] ≥ 0.
        transitions : Tensor, optional
            The chance of each given class for a true one, [true, given], [C, C]; None where it is not known.

        Raises
        ------
        UserError
            It goes by the transitions, and there are none.
        """
        return None

    def least_batch(self, classes: int) -> int:
        """Return the size of the smallest batch that the loss takes.

        Parameters
        ----------
        classes : int
            C.
        """
        return 2

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the logits [B, C] whose softmax is the prediction, or the predicted numbers [B].

        Parameters
        ----------
        outputs : Tensor
            As in the call.
        """
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
    """Return log softmax(logits)_y, [B], each ≤ 0 and finite for finite logits.

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    """
    return logits.log_softmax(1).gather(1, y[:, None]).squeeze(1)


def log_rest(logits: Tensor, y: Tensor) -> Tensor:
    """Return log(1 − softmax(logits)_y), [B], exact where the probability is 1 in floating point; finite for C ≥ 2.

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    """
    others = logits.scatter(1, y[:, None], float("-inf"))
    return others.logsumexp(1) - logits.logsumexp(1)
