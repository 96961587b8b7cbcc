"""The speed of training on this machine, by a few real steps of a network that is thrown away.

A step here is that of training: the batches, the network in training mode, the method and the optimizer. What is left
out is `torch.compile`, and work that a method does at the end of its epochs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import fmean

import torch

from skedastic.data.dataset import Dataset, without_padding
from skedastic.data.loader import RawBatch
from skedastic.methods.bases.method import Stage
from skedastic.methods.bases.step import State
from skedastic.methods.bases.task import Task
from skedastic.training.config import Training
from skedastic.training.running_means import RunningMeans
from skedastic.training.stage import StageRun, train_mode

ENOUGH, MOST_STEPS = 0.1, 60  # seconds of steps after the first, and steps, that are measured
LONG = 0.5  # seconds of a first step, after which no other is taken
FEW, MORE = 2, 6  # rounds of a pass that are measured
MOST_ROWS, LEAST_ROWS = 20_000, 10_000  # of a pass that is measured, and from which on its time grows as they do


@dataclass(frozen=True)
class Speed:
    """The speed of a method.

    Parameters
    ----------
    step : float
        Seconds of a step.
    share : float
        The examples of an epoch, as a share of the rows.
    prediction : float
        Seconds of predicting an example.
    whole : float or None, optional
        Seconds of a pass over `rows`, where its steps tell nothing of it.
    rows : int, optional
        Those of `whole`.
    """

    step: float
    share: float
    prediction: float
    whole: float | None = None
    rows: int = 0

    def seconds(self, epochs: int, rows: int, batch_size: int, predicted: int = 0) -> float:
        """Return the seconds of training for so many epochs, and of predicting.

        Parameters
        ----------
        epochs, rows, batch_size : int
            Epochs or passes, the rows that are trained on, and examples in a batch.
        predicted : int, optional
            Examples that are predicted.
        """
        if self.whole is None:
            epoch = self.step * math.ceil(rows * self.share / batch_size)
        else:
            epoch = self.whole * max(rows, LEAST_ROWS) / max(self.rows, LEAST_ROWS)
        return epochs * epoch + predicted * self.prediction


def measured(
    stage: Stage,
    state: State,
    task: Task,
    rows: Dataset,
    training: Training,
    device: torch.device,
    whole: Dataset,
    reference: Dataset | None = None,
) -> Speed:
    """Return the speed of a stage; the state is changed, and good for nothing afterwards.

    Parameters
    ----------
    stage, state, task, training, device, whole, reference
        As in `StageRun`.
    rows : Dataset
        The examples of the stage.
    """
    few, more = (stage.method.shorter_pass(rounds) for rounds in (FEW, MORE))
    if few is None or more is None:
        run = StageRun(stage, state, task, rows, training, task.seed, device, 1, whole, reference)
        order = run.sampler.order(run.rows, task.seed, 0, 1)
        step = _seconds_of_a_step(run, order)
        return Speed(step, len(order) / len(rows), _seconds_of_a_prediction(run))
    rows = rows.subset(torch.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).long())
    times = []
    for shorter, _ in (few, more):
        run = StageRun(replace(stage, method=shorter), state, task, rows, training, task.seed, device, 1, whole)
        start = time.perf_counter()
        run.run_epoch()
        times.append(time.perf_counter() - start)
    rounds = more[1]
    each = max(0.0, times[1] - times[0]) / (MORE - FEW)
    prediction = _seconds_of_a_prediction(run) * rounds / min(rounds, MORE)
    return Speed(0.0, 1.0, prediction, times[0] + max(0, rounds - FEW) * each, len(rows))


def _seconds_of_a_step(run: StageRun, order: torch.Tensor) -> float:
    """Return the mean of some steps; the first, which warms up, does not count."""
    size, logged = run.training.batch_size, RunningMeans()
    train_mode(run.stage, run.state)
    taken = list[float]()
    with closing(_batches(run, order[: size * (1 + MOST_STEPS)])) as batches:
        start = time.perf_counter()
        for batch in batches:
            logged.add(run.take_step(batch))
            _wait(run.device)
            now = time.perf_counter()
            taken.append(now - start)
            start = now
            if taken[0] >= LONG or sum(taken[1:]) >= ENOUGH or len(taken) > MOST_STEPS:
                break
    return fmean(taken[1:] or taken)


def _batches(run: StageRun, order: torch.Tensor) -> Generator[RawBatch, None, None]:
    """Yield the first batches of an epoch again and again, so that one that is smaller counts as it does there."""
    while True:
        yield from run.loader.epoch(0, order)


def _seconds_of_a_prediction(run: StageRun) -> float:
    """Return the seconds of predicting an example, by the second of two batches."""
    data = run.loader.dataset
    rows = torch.arange(min(len(data), run.training.batch_size))
    x = without_padding(data.subset(rows).x[rows], data.tokens).to(run.device)
    run.state.eval()
    with torch.inference_mode():
        for _ in range(2):
            start = time.perf_counter()
            run.stage.method.predict(run.state, x)
            _wait(run.device)
            seconds = time.perf_counter() - start
            if seconds >= LONG:
                break
    return seconds / len(rows)


def _wait(device: torch.device) -> None:
    """Wait until an accelerator has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
