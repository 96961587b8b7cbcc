"""The network of a run as files of its folder, and back. Nothing pickled is ever read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skedastic.data import Encoder
from skedastic.data.encoders.saved import restored
from skedastic.errors import UserError
from skedastic.methods.bases.step import State
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM
from skedastic.noise.clusters import NET, Clusters
from skedastic.runs.damaged import reading
from skedastic.runs.folder import CHECKPOINTS, CLUSTERS, ENCODER, MODEL, STATE
from skedastic.runs.summary import RunSummary
from skedastic.settings.model_choice import OwnModel
from skedastic.settings.network import make_network
from skedastic.training import Trained
from skedastic.training.loop import rebuild
from skedastic.training.tensor_files import Damaged, read_tensors, write_tensors

MakeNet = Callable[[], nn.Module]


def write_network(trained: Trained, encoder: Encoder, clusters: Clusters | None, folder: Path) -> dict[str, Any]:
    """Write the network of a run into its folder.

    Parameters
    ----------
    trained : Trained
        The network, and the stages that built it.
    encoder : Encoder
        The way from features to the network's input.
    clusters : Clusters or None
        The groups, where these are clusters of features.
    folder : Path
        The folder of the run.

    Returns
    -------
    dict
        Plain values for `state.json`, which `read_network` needs beside the files.
    """
    write_tensors(trained.state.state_dict(), folder / MODEL)
    if arrays := encoder.arrays():
        own = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        write_tensors(own, folder / ENCODER)
    return {
        "stages": list(trained.stages),
        "seconds": trained.seconds,
        "encoder": encoder.to_json(),
        "clusters": None if clusters is None else clusters.save(folder / CLUSTERS),
    }


def read_network(
    folder: Path, state: dict[str, Any], summary: RunSummary, model: MakeNet | None
) -> tuple[Trained, Encoder, Clusters | None]:
    """Return the network that `write_network` wrote, its encoder, and the clusters.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    state : dict
        The values that `write_network` returned.
    summary : RunSummary
        The figures of the run.
    model : callable or None
        The function that makes the network, where the user wrote it.

    Raises
    ------
    UserError, OSError, LookupError, TypeError, ValueError, AttributeError
        A file is damaged or is not there, or the network needs its function.
    """
    arrays = _tensors(folder / ENCODER) if (folder / ENCODER).is_file() else {}
    with reading(STATE):
        lacks_words = bool(state["encoder"].get("words")) and not arrays
    if lacks_words:
        raise UserError("it is not there; restore it, or fit again", setting=ENCODER)
    with reading(STATE):
        encoder = restored(state["encoder"], {name: tensor.numpy() for name, tensor in arrays.items()})
        task = _task(summary, encoder)
    make_net = _make_net(summary, encoder, model)
    with torch.random.fork_rng(devices=[]):
        method, rebuilt = rebuild(summary.method, task, make_net, state["stages"])
    _fill(rebuilt, _tensors(folder / MODEL), MODEL)
    trained = Trained(
        method,
        tuple(state["stages"]),
        rebuilt.eval(),
        summary.history,
        state["seconds"],
        summary.target,
        tokens=encoder.inputs.tokens,
    )
    saved = state["clusters"]
    return trained, encoder, None if saved is None else _clusters(folder / CLUSTERS, saved, task, make_net, trained)


def copy_checkpoints(kept: Path, folder: Path) -> None:
    """Copy the last checkpoint of each stage of the method from one folder to another; those of the estimate stay."""
    (folder / CHECKPOINTS).mkdir()
    for path in (kept / CHECKPOINTS).glob("[0-9]*-*.safetensors"):
        shutil.copy(path, folder / CHECKPOINTS)


def _task(summary: RunSummary, encoder: Encoder) -> Task:
    """Return the task that the method was trained for, without its examples."""
    nothing = torch.zeros(0, dtype=torch.int64)
    return Task(
        input_shape=tuple(encoder.input_shape),
        classes=summary.classes,
        index=nothing,
        y=nothing,
        group=nothing,
        groups=summary.groups,
        density=torch.tensor(summary.density, dtype=torch.float64),
        class_count=torch.tensor(summary.class_count),
        columns=encoder.inputs.kind != "image" and not encoder.inputs.tokens,
        ids=len(encoder.inputs.sizes),
        words=encoder.inputs.words,
        stats=summary.group_stats,
        transitions=summary.transitions,
    )


def _make_net(summary: RunSummary, encoder: Encoder, model: MakeNet | None) -> MakeNet:
    if model is None and isinstance(summary.config.model, OwnModel):
        rule = "this run was fitted with a network of your own; give the function that makes it: load(folder, model=…)"
        raise UserError(rule, setting="model")
    return model or make_network(summary.config, encoder, summary.target.outputs)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(path)[0]
    except Damaged as error:
        raise UserError(f"it is damaged ({error}); restore it, or fit again", setting=path.name) from None


def _clusters(path: Path, saved: dict[str, Any], task: Task, make_net: MakeNet, like: Trained) -> Clusters:
    """Return the clusters that are the groups; `like` is the run's network, of the same units and length of texts."""
    tensors = _tensors(path)
    with torch.random.fork_rng(devices=[]):
        method, state = rebuild(ERM(), task, make_net, saved["stages"])
    _fill(state, {name.removeprefix(NET): t for name, t in tensors.items() if name.startswith(NET)}, path.name)
    trained = replace(like, method=method, stages=tuple(saved["stages"]), state=state.eval(), history=[], notes=())
    return Clusters(trained, tensors["means"], tensors["of_class"], tuple(saved["names"]), float(saved["agreement"]))


def _fill(rebuilt: State, tensors: dict[str, Tensor], file: str) -> None:
    for name, buffer in list(rebuilt.named_buffers()):
        if buffer.numel() == 0 and name in tensors:  # a per-example buffer has no size without the examples
            module, _, key = name.rpartition(".")
            setattr(rebuilt.get_submodule(module), key, torch.empty_like(tensors[name]))
    try:
        rebuilt.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        rule = (
            f"it does not fit the network of config.toml ({first}); restore both, read them with the version of "
            "skedastic that wrote them, or fit again"
        )
        raise UserError(rule, setting=file) from None
