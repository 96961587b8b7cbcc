"""The models of the estimate that a method would train once more: the trials of halves may be among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skedastic.methods.bases.method import Method, Stage
from skedastic.methods.bases.task import Task
from skedastic.training.loop import epochs_of


class Tried(NamedTuple):
    """A model that was trained on some examples, and predicted others.

    Parameters
    ----------
    method : Method
        The way it was trained.
    epochs : int
        Its epochs, or passes.
    rows, predicted : Tensor
        The places of both in the training set, [k] and [m].
    held : Tensor
        Its predictions, as `Target.predictions` [m, ...]; or those of all examples [n, ...], which are not copied.
    """

    method: Method
    epochs: int
    rows: Tensor
    predicted: Tensor
    held: Tensor

    @property
    def values(self) -> Tensor:
        """Its predictions, [m, ...]."""
        return self.held if len(self.held) == len(self.predicted) else self.held[self.predicted]

    def is_of(self, stage: Stage, epochs: int, task: Task) -> bool:
        """Return whether it is what a stage would train, but for the seed, and predicted what the stage would.

        Parameters
        ----------
        stage : Stage
            The stage.
        epochs : int
            Its epochs.
        task : Task
            Its task.
        """
        if stage.data is None or stage.predicts is None or stage.after is not None:
            return False
        return self.is_like(stage.method, epochs, stage.data(task), stage.predicts(task))

    def is_like(self, method: Method, epochs: int, rows: Tensor, predicted: Tensor) -> bool:
        """Return whether it is a model of this method, length and rows; parameters as of the class."""
        same = method == self.method and epochs == self.epochs
        return same and torch.equal(rows, self.rows) and torch.equal(predicted, self.predicted)


def tried_of(method: Method, task: Task, epochs: int) -> tuple[Tried, ...]:
    """Return the models of stages of a method that were trained on a part and predicted another.

    Parameters
    ----------
    method : Method
        The method.
    task : Task
        Its task, with what these stages handed on.
    epochs : int
        The epochs of the training configuration.
    """
    stages = method.stages(task)
    return tuple(
        Tried(stage.method, length, stage.data(task), stage.predicts(task), task.handed_on[stage.name])
        for stage, length in zip(stages, epochs_of(stages, epochs), strict=True)
        if stage.name in task.handed_on and stage.data is not None and stage.predicts is not None
    )


def foretold(method: Method, task: Task, tried: Sequence[Tried], epochs: int) -> dict[str, Tensor]:
    """Return what stages of a method would hand on, by their names, where models that there are already predict it.

    Parameters
    ----------
    method : Method
        The method.
    task : Task
        Its task.
    tried : sequence of Tried
        The models.
    epochs : int
        The epochs of the training configuration.
    """
    if not tried:
        return {}
    stages = method.stages(task)
    pairs = zip(stages, epochs_of(stages, epochs), strict=True)
    return {s.name: model.values for s, length in pairs for model in tried if model.is_of(s, length, task)}
