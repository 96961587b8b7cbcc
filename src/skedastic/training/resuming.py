"""The state of a stage between two steps: to keep it in a checkpoint, and to resume from one, to the bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from skedastic.methods.bases.step import State
from skedastic.training.checkpoints import Snapshot
from skedastic.training.fingerprint import alike
from skedastic.training.finite import BadStep, to_plain
from skedastic.training.stage import StageRun

RATES = ("lr", "initial_lr")  # of an optimizer's parameter group


def snapshot_of(run: StageRun) -> Snapshot:
    """Return the state of a stage, after a whole step. Raises Diverged where a step was not finite.

    Parameters
    ----------
    run : StageRun
        The stage.
    """
    run.check_steps()
    tensors = {f"state.{k}": v for k, v in run.state.state_dict().items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if run.device.type != "cpu":
        tensors["random.device"] = torch.get_device_module(run.device).get_rng_state(run.device)
    optimizers: dict[str, Any] = {}
    for name, optimizer in run.optimizers.items():
        kept = optimizer.state_dict()
        optimizers[name] = {"param_groups": kept["param_groups"], "values": {}}
        for i, values in kept["state"].items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{name}.{i}.{key}"] = value
                else:
                    optimizers[name]["values"].setdefault(i, {})[key] = value
    logged, of_logged = run.logged.kept()
    tensors |= {f"logged.{name}": value for name, value in logged.items()}
    for module, gathered in _gathered(run):
        tensors |= {f"gathered.{module}.{i}": value for i, value in enumerate(gathered)}
    if run.averaged is not None and not run.done:
        tensors |= {f"averaged.{i}": value for i, value in enumerate(run.averaged.values)}
    facts = {
        **run.identity,
        "features": run.features,
        "epoch": run.epoch,
        "batches": run.batches,
        "logged": of_logged,
        "step": run.step,
        "seconds": run.seconds,
        "history": run.history,
        "lr": run.training.lr,
        "left_out": to_plain(run.engine.finite.bad),
        "changed": run.changed,
        "optimizers": optimizers,
        "scaler": run.engine.scaler.state_dict(),
        "drawn": {name: stream.drawn for name, stream in run.streams.items()},
    }
    return Snapshot(tensors, facts)


def restore(run: StageRun, snapshot: Snapshot) -> None:
    """Bring a stage to the state of a snapshot; it goes on at its own learning rate, be it another one.

    Parameters
    ----------
    run : StageRun
        The stage, before its first epoch.
    snapshot : Snapshot
        The state.

    Raises
    ------
    ValueError
        The snapshot is of another stage, or of other data.
    """
    tensors, facts = snapshot.tensors, snapshot.facts
    for key, value in run.identity.items():
        if facts[key] != value:
            raise ValueError(f"it is of other {key} ({facts[key]}, and here {value})")
    if "features" in facts and not alike(facts["features"], run.features):  # older ones have none
        raise ValueError("it is of other features, or of features in another order")
    run.state.load_state_dict(_under("state.", tensors))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # no optimizer has stepped yet
        for schedule in run.schedules:
            for _ in range(facts["epoch"]):
                schedule.step()
    for name, optimizer in run.optimizers.items():
        kept = facts["optimizers"][name]
        values: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in kept["values"].items()}
        for place, tensor in _under(f"optimizer.{name}.", tensors).items():
            i, key = place.split(".", 1)
            values.setdefault(int(i), {})[key] = tensor
        rates = [{key: group[key] for key in RATES if key in group} for group in optimizer.param_groups]
        optimizer.load_state_dict({"state": values, "param_groups": kept["param_groups"]})
        if facts["lr"] != run.training.lr:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group.update(rate)
        _lay_out(optimizer)
    if run.averaged is not None and facts["epoch"] < run.epochs:
        kept = _under("averaged.", tensors)
        run.averaged.restore(kept[str(i)] for i in range(len(kept)))
    for name, stream in run.streams.items():
        stream.skip(facts["drawn"][name])
    run.engine.scaler.load_state_dict(facts["scaler"])
    run.epoch, run.step, run.batches = facts["epoch"], facts["step"], facts.get("batches", 0)
    if run.batches:
        run.logged.restore(_under("logged.", tensors), facts["logged"], run.device)
        for module, gathered in _gathered(run):
            kept = _under(f"gathered.{module}.", tensors)
            gathered[:] = [kept[str(i)] for i in range(len(kept))]
    run.history, run.seconds = facts["history"], facts["seconds"]
    run.engine.finite.go_on(BadStep(*step) for step in facts["left_out"])
    run.changed = [*facts["changed"], *_change_of_rate(run, facts["lr"])]
    torch.set_rng_state(tensors["random.cpu"])
    if run.device.type != "cpu":
        torch.get_device_module(run.device).set_rng_state(tensors["random.device"], run.device)


def _change_of_rate(run: StageRun, before: float) -> list[str]:
    """Return a sentence on the learning rate, where it is no longer that of the checkpoint."""
    now = run.training.lr
    if now == before:
        return []
    if run.done:
        return [f"stage {run.stage.name}: trained at train.lr={before:g}, before it was set to {now:g}"]
    return [f"stage {run.stage.name}: train.lr={before:g} was set to {now:g} after epoch {run.epoch} of {run.epochs}"]


def _gathered(run: StageRun) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield what the steps of the epoch have gathered so far, by the name of the state in the state."""
    for name, module in run.state.named_modules():
        if isinstance(module, State):
            yield name, module.gathered


def _lay_out(optimizer: torch.optim.Optimizer) -> None:
    """Lay the state of an optimizer out in memory as its parameters are: fused steps go along both side by side."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
