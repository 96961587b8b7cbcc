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
    values : Tensor
        Its predictions, as `Target.predictions` [m, ...].
    """

    method: Method
    epochs: int
    rows: Tensor
    predicted: Tensor
    values: Tensor

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
        if stage.method != self.method or epochs != self.epochs or stage.after is not None:
            return False
        if stage.data is None or stage.predicts is None:
            return False
        return torch.equal(stage.data(task), self.rows) and torch.equal(stage.predicts(task), self.predicted)


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
