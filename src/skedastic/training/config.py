"""The configuration of a training run: epochs, batches, optimizer and learning-rate schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from skedastic.configurable import Configurable, setting
from skedastic.data.settings import Augment
from skedastic.errors import UserError

OptimizerName = Literal["sgd", "adam", "adamw"]
ScheduleName = Literal["steps", "cosine", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]

USUAL: Mapping[str, Any] = {"epochs": 60, "batch_size": 128, "optimizer": "sgd", "warmup": 0.0, "channels_last": False}
OF_OPTIMIZER: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"lr": 0.05, "weight_decay": 1e-4, "schedule": "steps"},  # HAR's appendix B, at a smaller rate
    "adam": {"lr": 0.001, "weight_decay": 1e-4, "schedule": "steps"},
    "adamw": {"lr": 0.002, "weight_decay": 0.01, "schedule": "cosine"},
}
MAY_BE_NONE = ("threads", "clip")
SKIP = re.compile(r"skip:(\d+)")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Configurable):
    """The settings that every method of a comparison trains by.

    What is None is settled by the model and the number of training rows (`models.training_of`), and where the model
    says nothing by the optimizer; `settled` does so. By default SGD trains for 60 epochs, as in HAR's appendix B at a
    smaller rate.
    """

    section: ClassVar[str | None] = "train"

    epochs: int | None = setting(
        None, "passes over the training data; by default those that suit the model and the rows, else 60", "[1, inf)"
    )
    batch_size: int | None = setting(
        None,
        "examples in a batch, by default as suits the model and the rows, else 128; BatchNorm can't take a single one",
        "[2, inf)",
    )
    optimizer: OptimizerName | None = setting(
        None, "the optimizer of the weights, by default the one that suits the model, else sgd, which has momentum"
    )
    lr: float | None = setting(
        None,
        "learning rate; by default 0.05 of sgd, 0.001 of adam and 0.002 of adamw, or as suits the model",
        "(0, inf)",
    )
    momentum: float = setting(0.9, "momentum of sgd", "[0, 1)")
    weight_decay: float | None = setting(
        None,
        "how strongly weights are pulled to 0, by default 1e-4, and 0.01 by adamw; by adam, which would pull unused "
        "ones as fast as it learns others, not embeddings, normalization layers and biases",
        "[0, inf)",
    )
    schedule: ScheduleName | None = setting(
        None,
        "how the rate falls: steps, the default of sgd and adam, multiplies it by decay at each of milestones; cosine, "
        "that of adamw, takes it to 0",
    )
    milestones: tuple[float, ...] = setting(
        (2 / 3, 5 / 6), "when the schedule steps multiplies the rate, in fractions of the epochs", "(0, 1]"
    )
    decay: float = setting(0.1, "by how much the schedule steps multiplies the rate", "(0, 1]")
    warmup: float | None = setting(
        None,
        "fraction of the epochs over which the rate rises linearly, by default none, or as suits the model",
        "[0, 1)",
    )
    augment: Augment = setting(
        "auto",
        "how images are augmented: crop-flip crops them at random with an eighth of the shorter side of padding, and "
        "flips half of them; crop shifts them as much; auto is crop-flip for colour images, crop for others, and none "
        "where the model is frozen",
    )
    device: str = setting("auto", "where to train, such as cpu or cuda:1; auto takes a GPU where there is one")
    threads: int | None = setting(
        None,
        "threads of the CPU that train, by default as torch has them, and one for small networks, in which more are in "
        "each other's way",
        "[1, inf)",
    )
    workers: int = setting(0, "processes that decode streamed data", "[0, inf)")
    on_nan: str = setting(
        "stop",
        "what to do where the loss or the gradient of a step is not finite: stop before it changes the weights, or "
        "skip:N, which leaves out up to N such steps of a stage",
    )
    accumulate: int = setting(
        1,
        "batches whose gradients are averaged for a step of the optimizer: less memory than a batch as large, and more "
        "than a batch where a method weighs examples, or BatchNorm normalizes, by the batch",
        "[1, inf)",
    )
    clip: float | None = setting(
        None, "largest norm of the gradient; a longer one is made as short, by default none is", "(0, inf)"
    )
    ema: float = setting(
        0.0,
        "how much of the moving average of the weights stays at each step, such as 0.999; the average takes the place "
        "of the weights at the end of training, and 0 takes none",
        "[0, 1)",
    )
    precision: Precision = setting(
        "fp32", "numbers to train in: single precision, or mixed with bf16 or fp16, the latter with a loss scaler"
    )
    channels_last: bool | None = setting(
        None, "whether the channels of images lie last in memory, by default where that suits the model, else not"
    )
    compile: bool = setting(
        False,
        "whether the network is compiled (torch.compile), which takes a minute and pays on a GPU, and in long runs",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_nan != "stop" and not self.allowed_steps:
            raise UserError("must be stop, or skip:N with N of 1 or more", setting="train.on_nan", value=self.on_nan)
        if self.allowed_steps and self.accumulate > 1:
            rule = "leaves out whole steps, and here several batches make one; take accumulate=1"
            raise UserError(rule, setting="train.on_nan", value=self.on_nan)

    @property
    def allowed_steps(self) -> int:
        """How many steps of a stage that are not finite may be left out."""
        return int(found[1]) if (found := SKIP.fullmatch(self.on_nan)) else 0

    @property
    def is_settled(self) -> bool:
        """Whether no setting is None, but `threads` where torch has its own number, and `clip` where none is."""
        return all(getattr(self, field.name) is not None for field in fields(self) if field.name not in MAY_BE_NONE)

    def settled(self, suits: Mapping[str, Any] | None = None) -> Training:
        """Return the settings with a value for each that is None.

        Parameters
        ----------
        suits : mapping, optional
            What suits the model, by the name of the setting. Where another optimizer was asked for, its own rate,
            decay and schedule are taken; adam and adamw are of one kind. Milestones or a decay that differ from the
            usual ones ask for the schedule steps.
        """
        suits = suits or {}
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        usual = {**USUAL, **suits}
        optimizer = values["optimizer"] or usual["optimizer"]
        own = OF_OPTIMIZER[optimizer]
        kin = optimizer == usual["optimizer"] or {optimizer, usual["optimizer"]} == {"adam", "adamw"}
        steps = any(values[f.name] != f.default for f in fields(self) if f.name in ("milestones", "decay"))
        usual = {**usual, **own, **(suits if kin else {}), **({"schedule": "steps"} if steps else {})}
        values["augment"] = suits.get("augment", "auto") if values["augment"] == "auto" else values["augment"]
        given: dict[str, Any] = {name: usual.get(name) if value is None else value for name, value in values.items()}
        return Training(**given)


@dataclass(frozen=True, kw_only=True)
class Training(TrainingConfig):
    """Settings of training that are settled: none is None, but `threads` and `clip`."""

    if TYPE_CHECKING:
        epochs: int
        batch_size: int
        optimizer: OptimizerName
        lr: float
        weight_decay: float
        schedule: ScheduleName
        warmup: float
        channels_last: bool

    def first_drop(self, epochs: int) -> int | None:
        """Return the first epoch, counted from 0, of the learning rate's first drop; None where there is none.

        Parameters
        ----------
        epochs : int
            Epochs of the stage, which the milestones are fractions of.
        """
        if self.schedule != "steps" or not self.milestones or self.decay == 1:
            return None
        drop = max(round(min(self.milestones) * epochs), round(self.warmup * epochs) + 1)
        return drop if drop < epochs else None
