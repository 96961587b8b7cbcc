"""Everything once, on a few examples, before anything is trained for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from skedastic.core.choice import Gain
from skedastic.core.transitions import Transitions
from skedastic.core.unwrap import eagerly
from skedastic.data import Dataset, Loader
from skedastic.errors import UserError, first_line
from skedastic.methods.bases.card import REAL_INPUTS
from skedastic.methods.bases.method import MakeNet, Method
from skedastic.methods.bases.step import Batch, Clock, State
from skedastic.methods.bases.task import Task
from skedastic.noise.by_target import unknown_noise
from skedastic.pipeline.task_check import check_task
from skedastic.training.config import Training
from skedastic.training.engine import find_device
from skedastic.training.loop import make_task, only_trainable, with_supported_labels
from skedastic.training.stage import to_batch, train_mode

WAY_OUT = "give a function that makes a fresh network each time, such as model=lambda: Net()"


def dry_run(
    methods: Iterable[Method],
    dataset: Dataset,
    make_net: MakeNet,
    training: Training,
    reference: Dataset | None = None,
) -> None:
    """Refuse networks, devices and settings of methods that would fail after the estimate, or in a worker.

    Raises UserError. The caller's random state is left alone.
    """
    methods = list(methods)
    find_device(training.device)
    for method in methods:
        check_task(method, dataset.target.task)
        if dataset.has_ids and REAL_INPUTS in method.capabilities.takes:
            raise UserError(
                f"{method.card.name} takes {REAL_INPUTS}, and the data has text, or categories with an id each; "
                "--ignore these columns, or take another method",
                setting="method",
                value=method.card.name,
                given="",
            )
    task = task_without_estimate(dataset, reference)
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # no inference mode: a factory may keep tensors
        _check_fresh(make_net)
        for method in methods:
            _try_out(
                method,
                task,
                _first_batch(method, task, with_supported_labels(dataset, method)[0], training),
                make_net,
                training.compile,
            )


def _first_batch(method: Method, task: Task, dataset: Dataset, training: Training) -> Batch:
    """Return the smallest batch that the method takes."""
    least = method.least_batch(task)
    size = min(training.batch_size, len(dataset))
    if size < least:
        given = None if training.batch_size < least else f"{size} training examples"
        rule = f"{method.card.name} needs batches of at least {least}, one example for each class; "
        rule += "better several times as many"
        raise UserError(rule, setting="train.batch_size", value=size, given=given)
    rows = torch.arange(least)
    loader = Loader(
        dataset.subset(rows), batch_size=training.batch_size, least=least, augment=training.augment, workers=0
    )
    return to_batch(next(loader.epoch(0, rows)), loader)


def _try_out(method: Method, task: Task, batch: Batch, make_net: MakeNet, compiled: bool) -> None:
    """Take a step of every stage."""
    state: State | None = None
    for stage in method.stages(task):
        if state is None or stage.reinit:
            state = stage.method.init(task, make_net)
            _predict(stage.method, state.eval(), task, batch.x)
        elif stage.enter is not None:
            state = stage.enter(state, task)
        stage.method.streams(task)
        with only_trainable(stage, state), torch.enable_grad():
            train_mode(stage, state)
            _train(stage.method, state, batch, compiled)


def _check_fresh(make_net: MakeNet) -> None:
    if isinstance(make_net, nn.Module) or not callable(make_net):
        kind = type(make_net).__name__
        raise UserError(WAY_OUT, setting="model", value=kind, given=f"model is a {kind}")
    net = make_net()
    if not isinstance(net, nn.Module):
        kind = type(net).__name__
        raise UserError(WAY_OUT, setting="model", value=kind, given=f"model() gives a {kind}, and no torch.nn.Module")
    if net is make_net():
        given = "model() gives the same network twice, so that what it learned would leak"
        raise UserError(WAY_OUT, setting="model", given=given)


def _predict(method: Method, state: State, task: Task, x: Tensor) -> None:
    try:
        logits = method.predict(state, x)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = first_line(error)
        shape = list(x.shape)
        given = f"the network can't read x of shape {shape}"
        raise UserError(reason, setting="model", value=shape, given=given) from None
    wanted = [len(x), len(task.classes)] if task.classes else [len(x)]
    if list(logits.shape) != wanted:
        rule = f"must be logits {wanted}" if task.classes else f"must be one number each, [{len(x)}] or [{len(x)}, 1]"
        shape = list(logits.shape)
        given = f"the network gives {shape} for {len(x)} examples"
        raise UserError(rule, setting="the network's output", value=shape, given=given)


class _Backward:
    """An engine that steps nothing."""

    device = torch.device("cpu")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def update(self, name: str, loss: Tensor) -> None:
        self.backward(loss)

    def backward(self, loss: Tensor, parameters: Sequence[Tensor] | None = None) -> None:
        torch.autograd.backward(loss, inputs=parameters)

    def step(self, name: str) -> None:
        return

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool = False) -> list[Tensor]:
        gradients = torch.autograd.grad(
            loss, parameters, retain_graph=retain_graph, allow_unused=True, materialize_grads=True
        )
        return list(gradients)

    def rate(self, name: str) -> float:
        return 0.1

    def draw(self, stream: str) -> Batch:
        return self.batch

    def examples(self, index: Tensor | None = None) -> Iterator[Batch]:
        yield self.batch


def _train(method: Method, state: State, batch: Batch, compiled: bool) -> None:
    if compiled:  # as far as methods see; compiling takes too long for a dry run
        for network in state.children():
            network.compile()
    try:
        with eagerly():
            method.step(state, batch, Clock(0, 1, 0), _Backward(batch))
    except UserError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        reason = first_line(error)
        name = method.card.name
        raise UserError(reason, setting="method", value=name, given=f"{name} can't train this network") from None


def task_without_estimate(dataset: Dataset, reference: Dataset | None) -> Task:
    """Return the task as if nothing had been held out."""
    none_wrong = Transitions(matrix=torch.eye(len(dataset.classes)).double(), gain=Gain(0.0, 0.0), gives_up=False)
    return replace(make_task(dataset, reference), stats=unknown_noise(dataset), transitions=none_wrong)
