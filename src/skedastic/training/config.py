"""The configuration of a training run: epochs, batches, optimizer and learning-rate schedule, all configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn
from torch.optim import lr_scheduler

from skedastic.errors import UserError, suggestion
from skedastic.methods.bases.method import Optimizer, OptimizerName

ScheduleName = Literal["steps", "cosine", "constant"]
FUSED = ("cpu", "cuda")  # devices on which torch steps all parameters at once
ADAM_RATE = 0.02  # a good learning rate of Adam, 0.001, over one of SGD, 0.05
Augment = Literal["auto", "none", "crop-flip"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What every method of a comparison gets alike. Defaults: HAR's appendix B, with a smaller learning rate.

    epochs, batch_size: ≥ 1. optimizer: sgd (with momentum), adam or adamw. lr: > 0. weight_decay: ≥ 0.
    schedule: "steps" multiplies the rate by `decay` at each of `milestones` (fractions of the epochs), "cosine" goes
    to zero, "constant" stays. warmup: a fraction of the epochs over which the rate rises linearly.
    augment: "crop-flip" for images (random crop with 4 pixels of padding, and flip), "none", or "auto" (crop-flip for
    colour images). device: "auto" takes a GPU where there is one. workers: processes that decode streamed data.
    precision: "fp32", or mixed "bf16" or "fp16" (the latter with a loss scaler). channels_last: the memory format of
    images. compile: compile the network (torch.compile), which takes a minute and pays on a GPU, and in long runs.
    """

    epochs: int = 60
    batch_size: int = 128
    optimizer: OptimizerName = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: ScheduleName = "steps"
    milestones: tuple[float, ...] = (2 / 3, 5 / 6)
    decay: float = 0.1
    warmup: float = 0.0
    augment: Augment = "auto"
    device: str = "auto"
    workers: int = 0
    precision: Precision = "fp32"
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, "must be at least 1"),
            "batch_size": (self.batch_size >= 2, "must be at least 2, since BatchNorm can't take a single example"),
            "lr": (0 < self.lr < float("inf"), "must be above 0; 0.05 is a good start for sgd, 0.001 for adam"),
            "momentum": (0 <= self.momentum < 1, "must be in [0, 1)"),
            "weight_decay": (0 <= self.weight_decay < float("inf"), "must be at least 0"),
            "milestones": (all(0 < m <= 1 for m in self.milestones), "must be fractions of the epochs, in (0, 1]"),
            "decay": (0 < self.decay <= 1, "must be in (0, 1]"),
            "warmup": (0 <= self.warmup < 1, "must be a fraction of the epochs, in [0, 1)"),
            "workers": (self.workers >= 0, "must be at least 0"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise UserError(f"train.{name}={getattr(self, name)}: {name} {rule}")
        for name, choices in (
            ("optimizer", OptimizerName),
            ("schedule", ScheduleName),
            ("augment", Augment),
            ("precision", Precision),
        ):
            value, known = getattr(self, name), get_args(choices)
            if value not in known:
                raise UserError(
                    f"train.{name}={value!r}: must be one of {', '.join(known)}{suggestion(str(value), known)}"
                )

    def make_optimizer(
        self, parameters: Iterable[nn.Parameter], lr_scale: float = 1.0, kind: Optimizer = "configured"
    ) -> torch.optim.Optimizer:
        """Return the optimizer of one parameter group.

        kind: instead of the training configuration's own; where it takes another learning rate by its nature, the training configuration's is converted: Adam
        0.001 where SGD has 0.05.
        """
        lr, parameters = self.lr * lr_scale, list(parameters)
        kind = self.optimizer if kind == "configured" else kind
        if (kind == "sgd") != (self.optimizer == "sgd"):
            lr = lr / ADAM_RATE if kind == "sgd" else lr * ADAM_RATE
        fused = all(p.is_floating_point() and p.device.type in FUSED for p in parameters)  # one kernel for all of them
        if self.precision == "fp16":
            fused = False  # torch's SGD has garbage for momentum where the scaler skips its first step
        if kind == "sgd":
            return torch.optim.SGD(parameters, lr, self.momentum, weight_decay=self.weight_decay, fused=fused)
        adam = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
        return adam(parameters, lr, weight_decay=self.weight_decay, fused=fused)

    def make_schedule(self, optimizer: torch.optim.Optimizer, epochs: int) -> lr_scheduler.LRScheduler:
        """Return the schedule of a stage of `epochs` epochs, stepped once after each."""
        warm = round(self.warmup * epochs)
        main: lr_scheduler.LRScheduler
        if self.schedule == "cosine":
            main = lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs - warm))
        else:
            at = [round(m * epochs) - warm for m in self.milestones] if self.schedule == "steps" else []
            main = lr_scheduler.MultiStepLR(optimizer, [max(1, a) for a in at], self.decay)
        if not warm:
            return main
        rise = lr_scheduler.LinearLR(optimizer, 1 / (warm + 1), total_iters=warm)
        return lr_scheduler.SequentialLR(optimizer, [rise, main], [warm])
