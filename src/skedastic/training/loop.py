"""The loop: the stages of a method, epoch by epoch, step by step. It never looks inside a method."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skedastic.core.samplers import Sampler
from skedastic.data.dataset import Dataset, Features
from skedastic.data.loader import Loader
from skedastic.errors import UserError
from skedastic.methods.base import Batch, Clock, Method, Stage, State, Task
from skedastic.training.budget import Budget
from skedastic.training.engine import PlainEngine, find_device

Progress = Callable[[str, int, int], None]  # (stage, epochs done, epochs)


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives."""

    method: Method
    state: State
    history: list[dict[str, float | str]]  # one row an epoch: stage, epoch, learning rate, mean loss and accuracy
    seconds: float

    def predict(self, x: Features, batch_size: int = 1024) -> Tensor:
        """Return the class probabilities [n, C] of n examples, on the CPU."""
        device = next(self.state.parameters()).device
        self.state.eval()
        with torch.inference_mode():
            parts = [
                self.method.predict(self.state, x[rows].to(device)).float().softmax(1).cpu()
                for rows in torch.split(torch.arange(len(x)), batch_size)
            ]
        return torch.cat(parts)


def make_task(dataset: Dataset) -> Task:
    """Return what a method may know of a training set."""
    return Task(
        input_shape=tuple(dataset.x.shape[1:]),
        classes=dataset.classes,
        index=dataset.index,
        y=dataset.y,
        group=dataset.group,
        groups=dataset.groups,
    )


def train(
    method: Method,
    dataset: Dataset,
    make_net: Callable[[], nn.Module],
    budget: Budget,
    *,
    seed: int = 0,
    task: Task | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train `method` on `dataset` through all of its stages.

    make_net: gives a newly initialized network; methods that train several call it several times. seed: of the initial
    weights, the order of the examples, their augmentation and dropout: the same seed gives every method the same
    start and the same batches. task: what the method may know beyond the data, such as the groups' statistics.
    Raises UserError when the loss is no longer finite. The caller's random state is left alone.
    """
    start, device = time.perf_counter(), find_device(budget.device)
    task = task or make_task(dataset)
    state: State | None = None
    history: list[dict[str, float | str]] = []
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        torch.manual_seed(seed)
        for stage in method.stages(task):
            if state is None or stage.reinit:
                state = stage.method.init(task, make_net).to(device)
            rows = dataset if stage.data is None else dataset.subset(stage.data(task))
            with _only_trainable(stage, state):
                history += _run_stage(stage, state, task, rows, budget, seed, device, progress)
            if stage.after is not None:
                task = stage.after(state, task)
    assert state is not None
    return Trained(stage.method, state, history, time.perf_counter() - start)


def _run_stage(
    stage: Stage,
    state: State,
    task: Task,
    dataset: Dataset,
    budget: Budget,
    seed: int,
    device: torch.device,
    progress: Progress | None,
) -> list[dict[str, float | str]]:
    method, epochs = stage.method, max(1, round(stage.epochs * budget.epochs))
    if len(dataset) < 2:
        raise UserError(
            f"stage {stage.name}: {len(dataset)} example to train on, and BatchNorm needs 2; give more data"
        )
    groups = method.param_groups(state) if stage.trainable is None else {"main": list(stage.trainable(state))}
    optimizers = {name: budget.make_optimizer(parameters, stage.lr_scale) for name, parameters in groups.items()}
    schedules = [budget.make_schedule(optimizer, epochs) for optimizer in optimizers.values()]
    samplers = dict(method.streams(task))
    loader = Loader(
        dataset, batch_size=budget.batch_size, seed=seed, augment=budget.augment, device=device, workers=budget.workers
    )
    others = {name: _endless(loader, sampler, seed + 1 + i) for i, (name, sampler) in enumerate(samplers.items())}
    engine = PlainEngine(optimizers, device, lambda stream: next(others[stream]))
    history: list[dict[str, float | str]] = []
    step = 0
    for epoch in range(epochs):
        state.train()
        sums: defaultdict[str, Tensor | float] = defaultdict(float)
        counts: defaultdict[str, int] = defaultdict(int)
        lr = next(iter(optimizers.values())).param_groups[0]["lr"]
        for batch in loader.epoch(epoch, samplers["main"].order(len(dataset), seed, epoch)):
            for name, value in method.step(state, Batch(*batch), Clock(epoch, epochs, step), engine).items():
                sums[name] += value.sum()
                counts[name] += value.numel()
            step += 1
        method.end_epoch(state, task, Clock(epoch, epochs, step), engine)
        for schedule in schedules:
            schedule.step()
        means = {name: float(total) / counts[name] for name, total in sums.items()}
        if not means.get("loss", 0.0) < float("inf"):
            raise UserError(
                f"training {method.card.name}: the loss is {means['loss']} in epoch {epoch + 1} of {epochs}; "
                f"lower the learning rate (now train.lr={budget.lr}) or the strength"
            )
        history.append({"stage": stage.name, "epoch": epoch + 1, "lr": lr, **means})
        if progress is not None:
            progress(stage.name, epoch + 1, epochs)
    if not all(p.isfinite().all() for p in state.parameters()):  # the last step may diverge after the last loss
        raise UserError(
            f"training {method.card.name}: a weight is not finite after the last step of stage {stage.name}; "
            f"lower the learning rate (now train.lr={budget.lr})"
        )
    return history


@contextmanager
def _only_trainable(stage: Stage, state: State) -> Iterator[None]:
    """Within this context, only the stage's trainable parameters gather gradients."""
    frozen: list[nn.Parameter] = []
    if stage.trainable is not None:
        trainable = {id(p) for p in stage.trainable(state)}
        frozen = [p for p in state.parameters() if p.requires_grad and id(p) not in trainable]
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(True)


def _endless(loader: Loader, sampler: Sampler, seed: int) -> Iterator[Batch]:
    epoch = 0
    while True:
        for batch in loader.epoch(epoch, sampler.order(len(loader.dataset), seed, epoch)):
            yield Batch(*batch)
        epoch += 1
