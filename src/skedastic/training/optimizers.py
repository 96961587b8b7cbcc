"""The optimizer and the learning-rate schedule that a training configuration asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from skedastic.core.taps import is_normalization
from skedastic.methods.bases.method import Optimizer
from skedastic.training.config import OF_OPTIMIZER, Training

FUSED = ("cpu", "cuda")  # devices on which torch steps all parameters at once
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def make_optimizer(
    training: Training,
    parameters: Iterable[nn.Parameter],
    lr_scale: float = 1.0,
    kind: Optimizer = "configured",
    spared: Collection[int] = (),
) -> torch.optim.Optimizer:
    """Return the optimizer of one parameter group.

    Adam adds weight decay to the gradient, and divides by its size. Where a parameter has no other gradient, as the
    embedding of a word that is in no batch, decay alone would make steps as long as those of all others. AdamW's decay
    is a fraction lr · weight_decay of each parameter, whatever the gradient.

    Parameters
    ----------
    training : Training
        Its optimizer, learning rate, momentum and weight decay.
    parameters : iterable of nn.Parameter
        The group.
    lr_scale : float
        Factor of the learning rate, above 0.
    kind : {'configured', 'sgd', 'adam', 'adamw'}
        Another optimizer than the configured one. Adam needs another learning rate than SGD, so the configured one is
        converted: 0.001 where SGD has 0.05, and 0.05 where AdamW has 0.002. AdamW's decay is of another kind than the
        others', which take their usual one in place of it.
    spared : collection of int
        The ids of parameters that Adam does not decay, as `undecayed` gives them.
    """
    lr, parameters = training.lr * lr_scale, list(parameters)
    kind = training.optimizer if kind == "configured" else kind
    decay = training.weight_decay
    if training.optimizer == "sgd" and kind != "sgd":
        lr = lr * OF_OPTIMIZER["adam"]["lr"] / OF_OPTIMIZER["sgd"]["lr"]
    elif kind == "sgd":
        lr = lr * OF_OPTIMIZER["sgd"]["lr"] / OF_OPTIMIZER[training.optimizer]["lr"]
    if training.optimizer == "adamw" and kind != "adamw":
        decay = OF_OPTIMIZER[kind]["weight_decay"]
    fused = can_be_fused(training, parameters)
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr, training.momentum, weight_decay=decay, fused=fused)
    if kind == "adamw":
        return torch.optim.AdamW(parameters, lr, weight_decay=decay, fused=fused)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if id(p) not in spared], "weight_decay": decay},
        {"params": [p for p in parameters if id(p) in spared], "weight_decay": 0.0},
    ]
    return torch.optim.Adam([group for group in groups if group["params"]], lr, fused=fused)


def can_be_fused(training: Training, parameters: Iterable[nn.Parameter]) -> bool:
    """Return whether an optimizer steps all of some parameters by one kernel.

    Parameters
    ----------
    training : Training
        Its precision: with the scaler of fp16, torch's SGD has garbage for momentum where its first step is skipped.
    parameters : iterable of nn.Parameter
        The parameters.
    """
    able = all(p.is_floating_point() and p.device.type in FUSED for p in parameters)
    return able and training.precision != "fp16"


def undecayed(module: nn.Module) -> set[int]:
    """Return the ids of the parameters of embeddings and normalization layers, and of biases.

    Parameters
    ----------
    module : nn.Module
        Any network or state.
    """
    spared = set[int]()
    for layer in module.modules():
        whole = isinstance(layer, EMBEDDINGS) or is_normalization(layer)
        spared |= {id(p) for name, p in layer.named_parameters(recurse=False) if whole or "bias" in name}
    return spared


def make_schedule(training: Training, optimizer: torch.optim.Optimizer, epochs: int) -> lr_scheduler.LRScheduler:
    """Return the learning-rate schedule of a stage, stepped once after each epoch.

    Parameters
    ----------
    training : Training
        Its schedule, milestones, decay and warmup.
    optimizer : torch.optim.Optimizer
        Its rate is scheduled.
    epochs : int
        Epochs of the stage.
    """
    warm = round(training.warmup * epochs)
    main: lr_scheduler.LRScheduler
    if training.schedule == "cosine":
        main = lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs - warm))
    else:
        at = [round(m * epochs) - warm for m in training.milestones] if training.schedule == "steps" else []
        main = lr_scheduler.MultiStepLR(optimizer, [max(1, a) for a in at], training.decay)
    if not warm:
        return main
    rise = lr_scheduler.LinearLR(optimizer, 1 / (warm + 1), total_iters=warm)
    return lr_scheduler.SequentialLR(optimizer, [rise, main], [warm])
