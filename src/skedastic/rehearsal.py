"""Everything once, on two examples, before anything is trained for long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from skedastic import losses
from skedastic.config import method_table
from skedastic.data import Dataset, Loader
from skedastic.errors import UserError
from skedastic.estimate import measure_variance
from skedastic.group_noise import group_stats
from skedastic.methods import presets
from skedastic.methods.base import Batch, Clock, Method, State, Task
from skedastic.training.budget import Budget
from skedastic.training.engine import find_device
from skedastic.training.loop import make_task

MakeNet = Callable[[], nn.Module]
WAY_OUT = "give a function that makes a fresh network each time, such as model=lambda: Net()"


def rehearse(methods: Iterable[Method], dataset: Dataset, make_net: MakeNet, budget: Budget) -> None:
    """Refuse networks, devices and settings of methods that would fail after the estimate, or in a worker.

    Raises UserError. The caller's random state is left alone.
    """
    methods = list(methods)
    find_device(budget.device)
    for method in methods:
        _check_supports(method, dataset.task)
    two = torch.arange(2)
    loader = Loader(dataset.subset(two), batch_size=budget.batch_size, augment=budget.augment, workers=0)
    batch = Batch(*next(loader.epoch(0, two)))
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # no inference mode: a factory may keep tensors
        _check_fresh(make_net)
        for method in methods:
            state = _predict(method, _task(dataset), make_net, batch.x)
            with torch.enable_grad():
                _train(method, state.train(), batch, budget.compile)


def _check_supports(method: Method, task: str) -> None:
    if task not in method.supports:
        able = [name for name, (cls, settings) in presets().items() if task in cls(**settings).supports]
        reason = " or ".join(_against(method, task))
        raise UserError(
            f"{method.card.name}{' with ' * bool(reason)}{reason} is not for {task}; methods that are: {', '.join(able) or 'none'}"
        )
    loss = getattr(method, "loss_function", None)
    if loss is not None and task not in loss.supports:
        able = [name for name, cls in losses.discover().items() if task in cls.supports]
        raise UserError(
            f"method.loss_function={type(loss).__name__}: it is not for {task}; losses that are: {', '.join(able)}"
        )


def _against(method: Method, task: str) -> list[str]:
    """Return the settings, as "name=value", without any one of which the method would be for the task."""
    usual, told = type(method)(), method_table(method)
    without = {f.name: replace(method, **{f.name: getattr(usual, f.name)}) for f in fields(method)}
    return [f"{name}={told[name]}" for name, other in without.items() if task in other.supports]


def _check_fresh(make_net: MakeNet) -> None:
    if isinstance(make_net, nn.Module) or not callable(make_net):
        raise UserError(f"model is a {type(make_net).__name__}; {WAY_OUT}")
    net = make_net()
    if not isinstance(net, nn.Module):
        raise UserError(f"model() gives a {type(net).__name__}, and no torch.nn.Module; {WAY_OUT}")
    if net is make_net():
        raise UserError(f"model() gives the same network twice, so what it learned would leak; {WAY_OUT}")


def _predict(method: Method, task: Task, make_net: MakeNet, x: Tensor) -> State:
    state = method.init(task, make_net).eval()
    try:
        logits = method.predict(state, x)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"the network can't read x of shape {list(x.shape)}: {reason}") from None
    wanted = [2, len(task.classes)] if task.classes else [2]
    if list(logits.shape) != wanted:
        what = f"logits {wanted}" if task.classes else "one number each, [2] or [2, 1]"
        raise UserError(f"the network gives {list(logits.shape)} for 2 examples; it must give {what}")
    return state


def _train(method: Method, state: State, batch: Batch, compiled: bool) -> None:
    if compiled:  # as far as methods see; compiling takes too long to be rehearsed
        for network in state.children():
            network.compile()
    try:
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            method.loss(state, batch, method.forward(state, batch), Clock(0, 1, 0))
    except UserError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{method.card.name} can't train this network: {reason}") from None


def _task(dataset: Dataset) -> Task:
    """Return the task as if nothing had been held out."""
    if dataset.scale is not None:
        return replace(make_task(dataset), stats=measure_variance(dataset, torch.full_like(dataset.y, torch.nan)))
    nothing = torch.zeros(len(dataset), dtype=torch.bool)
    stats = group_stats(dataset.group, nothing, nothing, dataset.groups, shrink=False)
    return replace(make_task(dataset), stats=stats)
