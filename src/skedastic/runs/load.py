"""From a run folder back to a result. Nothing pickled is ever read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from skedastic.core.strengths import GroupStats
from skedastic.data import Encoder, Schema
from skedastic.data.encoders.saved import encoder_from_json
from skedastic.data.targets.regression import Scale
from skedastic.errors import UserError
from skedastic.methods.bases.method import State, Task
from skedastic.methods.erm import ERM
from skedastic.noise.clusters import NET, Clusters
from skedastic.runs.folder import CLUSTERS
from skedastic.runs.result import FORMAT, Result
from skedastic.settings.config import Config, read, the_method
from skedastic.settings.network import make_network
from skedastic.training import Trained
from skedastic.training.loop import rebuild


def load(folder: str | Path, model: Callable[[], nn.Module] | None = None, *, figures_only: bool = False) -> Result:
    """Return the result that `Result.save` wrote.

    model: the function that made the network, where `fit` was given one. figures_only: leave the network out: what comes back
    can be shown, and predicts nothing.
    Raises UserError where the folder is no run, or one of its files is damaged.
    """
    path = Path(folder)
    if not (path / "state.json").is_file() or not (path / "model.safetensors").is_file():
        raise UserError(
            f"{str(folder)!r} is not a run folder: it has no state.json and model.safetensors; name one that fit wrote"
        )
    try:
        return _read(path, model, figures_only)
    except UserError as error:
        raise UserError(f"{str(folder)!r} can't be loaded: {error}") from None
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{str(folder)!r} is a damaged run folder ({type(error).__name__}: {reason}); restore it, or fit again"
        ) from None


def _read(path: Path, model: Callable[[], nn.Module] | None, figures_only: bool) -> Result:
    config = read(path / "config.toml", {})
    state, stats, metrics = (
        json.loads((path / f"{name}.json").read_text("utf-8")) for name in ("state", "group_stats", "metrics")
    )
    if state.get("format") != FORMAT:
        raise UserError(
            f"it was written by another version (format {state.get('format')}, and here {FORMAT}); fit again"
        )
    history = [json.loads(line) for line in (path / "history.jsonl").read_text("utf-8").splitlines()]
    predictions, suspects = (pd.read_parquet(path / f"{name}.parquet") for name in ("predictions", "suspects"))
    encoder = encoder_from_json(state["encoder"])
    group_stats = None if stats is None else GroupStats.from_dict(stats)
    task = _task(encoder, state, group_stats)
    recipe = the_method(config)
    scale = None if state.get("scale") is None else Scale(**state["scale"])
    make_net = nn.Identity if figures_only else _network(config, state, encoder, model)
    if figures_only:
        method, rebuilt = recipe, State(nn.Identity())
    else:
        with torch.random.fork_rng(devices=[]):
            method, rebuilt = rebuild(recipe, task, make_net, state["stages"])
        _fill(rebuilt, _tensors(path / "model.safetensors"))
    trained = Trained(
        method,
        tuple(state["stages"]),
        rebuilt.eval(),
        history,
        state["training_seconds"],
        scale,
        tokens=encoder.inputs.tokens,
    )
    clusters = None
    if (said := state.get("clusters")) is not None and not figures_only:
        clusters = _clusters(path / CLUSTERS, said, task, make_net, trained)
    return Result(
        config=config,
        recipe=recipe,
        trained=trained,
        encoder=encoder,
        classes=task.classes,
        groups=task.groups,
        integer_labels=state["integer_labels"],
        train_count=state["train_count"],
        class_count=task.class_count.tolist(),
        density=task.density.tolist(),
        group_stats=group_stats,
        strengths=None if state["strengths"] is None else torch.tensor(state["strengths"]),
        suspects=None if stats is None else suspects,
        metrics=metrics,
        predictions=predictions,
        seconds=state["seconds"],
        schema=Schema.from_json(state["schema"]),
        true_noise=state["true_noise"],
        temperature=state["temperature"],
        found=state["found"],
        notes=tuple(state["notes"]),
        clusters=clusters,
    )


def _task(encoder: Encoder, state: dict[str, Any], stats: GroupStats | None) -> Task:
    nothing = torch.zeros(0, dtype=torch.int64)
    return Task(
        input_shape=tuple(encoder.input_shape),
        classes=tuple(state["classes"]),
        index=nothing,
        y=nothing,
        group=nothing,
        groups=tuple(state["groups"]),
        density=torch.tensor(state["density"], dtype=torch.float64),
        class_count=torch.tensor(
            state.get("class_count", [1] * len(state["classes"]))
        ),  # older runs have none, and need none
        stats=stats,
    )


def _network(
    config: Config, state: dict[str, Any], encoder: Encoder, model: Callable[[], nn.Module] | None
) -> Callable[[], nn.Module]:
    if state["own_model"] and model is None:
        raise UserError(
            "this run was fitted with a network of your own; give the function that makes it: load(folder, model=…)"
        )
    return model or make_network(config, encoder, state["classes"])


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{str(path)!r} is damaged ({error}); restore it, or fit again") from None


def _clusters(
    path: Path, said: dict[str, Any], task: Task, make_net: Callable[[], nn.Module], like: Trained
) -> Clusters:
    """Return the clusters that are the groups; like: the run's network, of the same units and length of texts."""
    tensors = _tensors(path)
    with torch.random.fork_rng(devices=[]):
        method, state = rebuild(ERM(), task, make_net, said["stages"])
    _fill(state, {name.removeprefix(NET): t for name, t in tensors.items() if name.startswith(NET)}, path.name)
    trained = replace(like, method=method, stages=tuple(said["stages"]), state=state.eval(), history=[], notes=())
    return Clusters(trained, tensors["means"], tensors["of_class"], tuple(said["names"]), float(said["agreement"]))


def _fill(rebuilt: State, tensors: dict[str, Tensor], file: str = "model.safetensors") -> None:
    for name, buffer in list(rebuilt.named_buffers()):
        if buffer.numel() == 0 and name in tensors:  # what is kept of each example has no size without the examples
            module, _, key = name.rpartition(".")
            setattr(rebuilt.get_submodule(module), key, torch.empty_like(tensors[name]))
    try:
        rebuilt.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UserError(
            f"{file} does not fit the network of config.toml ({first}); restore both, or fit again"
        ) from None
