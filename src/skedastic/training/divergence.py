"""What is said of a stage whose training is no longer finite: where it stopped, and which setting to change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from skedastic.errors import Diverged
from skedastic.training.config import Training
from skedastic.training.finite import FiniteSteps

SHOWN = 8  # rows in a message


class Place(NamedTuple):
    """Where a stage stands.

    Its name, its method's, epochs done, all epochs, steps taken, how it is trained, and whether its method has a
    strength.
    """

    stage: str
    method: str
    epoch: int
    epochs: int
    step: int
    training: Training
    has_strength: bool = False

    @property
    def name(self) -> str:
        """What is trained, in words."""
        return f"training {self.method if self.stage == 'train' else f'stage {self.stage} ({self.method})'}"

    @property
    def slower(self) -> str:
        """What to lower, of the settings that there are, in words."""
        return f"lower the learning rate (now train.lr={self.training.lr}){' or the strength' * self.has_strength}"

    @property
    def in_epoch(self) -> str:
        """The epoch that is under way, in words."""
        return f"epoch {self.epoch + 1} of {self.epochs}"


def exceeded(place: Place, finite: FiniteSteps) -> Diverged:
    """Return the error that ends a stage, of whose steps more than allowed are not finite."""
    last = finite.bad[-1]
    what = "the loss" if last.rows else "the gradient"
    bound = f"; {finite.allowed} such steps were left out before" if finite.allowed else ""
    way = place.slower
    if place.training.precision != "fp32":
        way = f"train in full precision (now train.precision={place.training.precision}), or {way}"
    elif last.step == 1:
        way = "nothing was learned yet, so look for huge values in the data"
    return stopped(place, f"{what} is not finite{bound}; {way}", last.step, last.rows)


def check_epoch(place: Place, means: Mapping[str, float], weights: Iterable[Tensor]) -> None:
    """Raise Diverged after an epoch that left nothing to go on from, so that no checkpoint has it."""
    lr = place.training.lr
    if not means.get("loss", 0.0) < float("inf"):
        what = f"the loss is {means['loss']} in {place.in_epoch}"
    elif not all(weight.isfinite().all() for weight in weights):  # of the last step
        what = f"a weight is not finite after {place.in_epoch}"
    else:
        return
    rule = f"{what}; {place.slower}"
    raise Diverged(rule, setting="train.lr", value=lr, given=place.name, stage=place.stage, step=place.step)


def stopped(place: Place, rule: str, step: int, rows: Sequence[int], where: str = "") -> Diverged:
    """Return the error that ends a stage before a step that is not finite: the weights are as they were.

    Parameters
    ----------
    place : Place
        Where the stage stands.
    rule : str
        What is wrong, and the way out.
    step : int
        The step of the stage, from 1.
    rows : sequence of int
        The rows of the source whose loss is not finite, in order.
    where : str, optional
        The place in the network, where it is known.
    """
    of_rows = f", rows {_listed(rows)}" if rows else ""
    given = f"{place.name}, {place.in_epoch}, step {step} of the stage{of_rows}{f', {where}' if where else ''}"
    name = "train.precision" if place.training.precision != "fp32" else "data" if step == 1 else "train.lr"
    value = {"train.precision": place.training.precision, "train.lr": place.training.lr}.get(name)
    return Diverged(rule, setting=name, value=value, given=given, stage=place.stage, step=step, rows=rows)


def left_out(place: Place, finite: FiniteSteps) -> tuple[str, ...]:
    """Return a sentence on the steps of a stage that were left out; none where there were none."""
    if not finite.bad:
        return ()
    rows = sorted({row for step in finite.bad for row in step.rows})
    of_rows = f" (rows {_listed(rows)})" if rows else ""
    steps = f"{len(finite.bad)} step{'s' * (len(finite.bad) != 1)} of {place.step:,}"
    why = f"since the loss or the gradient was not finite{of_rows}; train.on_nan={place.training.on_nan}"
    return (f"stage {place.stage}: {steps} left out, {why}",)


def _listed(rows: Sequence[int]) -> str:
    """Return the first of some rows, and how many there are more."""
    more = len(rows) - SHOWN
    return ", ".join(map(str, rows[:SHOWN])) + (f" and {more:,} more" if more > 0 else "")
