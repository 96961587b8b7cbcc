"""The optimizer and the learning-rate schedule that a training configuration asks for."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import lr_scheduler

from skedastic.methods.bases.method import Optimizer
from skedastic.training.config import TrainingConfig

FUSED = ("cpu", "cuda")  # devices on which torch steps all parameters at once
ADAM_RATE = 0.02  # a good learning rate of Adam, 0.001, over one of SGD, 0.05


def make_optimizer(
    training: TrainingConfig,
    parameters: Iterable[nn.Parameter],
    lr_scale: float = 1.0,
    kind: Optimizer = "configured",
) -> torch.optim.Optimizer:
    """Return the optimizer of one parameter group.

    Parameters
    ----------
    training : TrainingConfig
        Its optimizer, learning rate, momentum and weight decay.
    parameters : iterable of nn.Parameter
        The group.
    lr_scale : float
        Factor of the learning rate, above 0.
    kind : {'configured', 'sgd', 'adam', 'adamw'}
        Another optimizer than the configured one. Adam needs another learning rate than SGD, so the configured one is
        converted: 0.001 where SGD has 0.05.
    """
    lr, parameters = training.lr * lr_scale, list(parameters)
    kind = training.optimizer if kind == "configured" else kind
    if (kind == "sgd") != (training.optimizer == "sgd"):
        lr = lr / ADAM_RATE if kind == "sgd" else lr * ADAM_RATE
    fused = all(p.is_floating_point() and p.device.type in FUSED for p in parameters)  # one kernel for all of them
    if training.precision == "fp16":
        fused = False  # torch's SGD has garbage for momentum where the scaler skips its first step
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr, training.momentum, weight_decay=training.weight_decay, fused=fused)
    adam = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    return adam(parameters, lr, weight_decay=training.weight_decay, fused=fused)


def make_schedule(training: TrainingConfig, optimizer: torch.optim.Optimizer, epochs: int) -> lr_scheduler.LRScheduler:
    """Return the learning-rate schedule of a stage, stepped once after each epoch.

    Parameters
    ----------
    training : TrainingConfig
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
