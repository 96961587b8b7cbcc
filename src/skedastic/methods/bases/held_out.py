"""Trials: ways of training that are held against each other by examples that they have not seen.

Each way is trained on one half of the examples and predicts the other, and then the halves change places; so every
example has a prediction of every way by a network that was not trained on it. These are stages like any others. The
comparison itself is `skedastic.core.choice`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from skedastic.core.choice import Gain, gives_up_a_class, paired_gain
from skedastic.methods.bases.method import Method, Stage
from skedastic.methods.bases.task import Task

RowsOfHalf = Callable[..., Tensor]  # as `rows_of_half`
LEAST_ROWS = 40  # to try ways of training on, in halves
LEAST_UNITS = 4  # of a half, to be halved once more


def trial_stages(name: str, method: Method, epochs: float = 1.0, of: RowsOfHalf | None = None) -> tuple[Stage, ...]:
    """Return the stages that predict all examples by a method of one stage, each half by the other.

    Parameters
    ----------
    name : str
        A name that no other way has.
    method : Method
        The way of training.
    epochs : float
        Epochs of each, as a fraction of the training configuration's, above 0.
    of : callable, optional
        From the task and a half to those of its rows that are trained on; by default all, as `rows_of_half` has them.
    """
    return tuple(
        Stage(
            name=stage,
            method=method,
            epochs=epochs,
            passes=method.passes,
            data=partial(of or rows_of_half, half=half),
            predicts=partial(rows_of_half, half=1 - half),
        )
        for half, stage in enumerate(_names(name))
    )


def quarter_of_half(task: Task, half: int) -> Tensor:
    """Return half of the rows of a half, [m]; arguments as of `rows_of_half`."""
    assert task.halved is not None, "a task to train on has its halves"
    rows = rows_of_half(task, half)
    return rows[task.halved(task.seed, rows)]


def can_be_quartered(task: Task) -> bool:
    """Return whether both halves have rows enough to be halved once more, and units enough."""
    halves = [rows_of_half(task, half) for half in (0, 1)]
    units = [rows if task.unit is None else torch.unique(task.unit[rows]) for rows in halves]
    return all(len(rows) >= LEAST_ROWS for rows in halves) and all(len(own) >= LEAST_UNITS for own in units)


def held_against(name: str, other: str, task: Task) -> tuple[Gain, bool]:
    """Return how much better one way is than another, and whether it gives up a class that the other does not.

    Parameters
    ----------
    name, other : str
        Ways whose `trial_stages` were trained.
    task : Task
        The task that these stages handed on.
    """
    own, others = (held_out(way, task).argmax(1) for way in (name, other))
    gain = paired_gain(own == task.y, others == task.y, task.group, task.unit)
    return gain, gives_up_a_class(own, others, task.y)


def every_row(task: Task) -> Tensor:
    """Return all rows, [n], for a stage that predicts them."""
    return torch.arange(len(task.y))


def gave_up_in_the_end(stage: str, task: Task) -> bool:
    """Return whether a network of all rows gives up a class of its own rows.

    Networks of half of the rows may hold on to a class that the one of all rows gives up for its neighbour.

    Parameters
    ----------
    stage : str
        The stage that trained it, and predicts every row.
    task : Task
        The task that it handed on.
    """
    return gives_up_a_class(task.handed_on[stage].argmax(1), task.y, task.y)


def is_trial(stage: str) -> bool:
    """Return whether a stage of this name is a trial."""
    return stage.endswith(_names(""))


def was_tried(name: str, task: Task) -> bool:
    """Return whether the `trial_stages` of a way were trained; arguments as in `held_against`."""
    return all(stage in task.handed_on for stage in _names(name))


def was_begun(name: str, task: Task) -> bool:
    """Return whether the first of the `trial_stages` of a way was trained; arguments as in `held_against`."""
    return _names(name)[0] in task.handed_on


def why_failed(name: str, task: Task) -> str:
    """Return why one of the `trial_stages` of a way failed, empty where none did; arguments as in `held_against`."""
    return next((task.failed[stage] for stage in _names(name) if stage in task.failed), "")


def _names(name: str) -> tuple[str, str]:
    return f"{name}, half 1", f"{name}, half 2"


def held_out(name: str, task: Task) -> Tensor:
    """Return the predictions of networks that have not seen the example: probabilities [n, C], or numbers [n].

    Parameters
    ----------
    name : str
        A way whose `trial_stages` were trained.
    task : Task
        The task that these stages handed on.
    """
    first, (one, two) = _first_half(task), (task.handed_on[stage] for stage in _names(name))
    predicted = one.new_empty(len(first), *one.shape[1:])
    predicted[~first], predicted[first] = one, two
    return predicted


def held_out_half(name: str, task: Task) -> tuple[Tensor, Tensor]:
    """Return the rows of the second half, [m], and the probabilities by the network of the first one, [m, C].

    Parameters
    ----------
    name : str
        A way of which the first of the `trial_stages` was trained.
    task : Task
        The task that it handed on.
    """
    return rows_of_half(task, 1), task.handed_on[_names(name)[0]]


def rows_of_half(task: Task, half: int) -> Tensor:
    """Return the rows of a half, [m].

    Parameters
    ----------
    task : Task
        The task.
    half : int
        0 or 1: the rows that the first or the second of the `trial_stages` is trained on.
    """
    return (_first_half(task) == (half == 0)).nonzero().flatten()


def _first_half(task: Task) -> Tensor:
    """Return whether each example is in the first half, [n] bool."""
    assert task.halved is not None, "a task to train on has its halves"
    return task.halved(task.seed, None)
