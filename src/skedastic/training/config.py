"""The configuration of a training run: epochs, batches, optimizer and learning-rate schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from skedastic.configurable import Configurable, setting
from skedastic.data.settings import Augment

OptimizerName = Literal["sgd", "adam", "adamw"]
ScheduleName = Literal["steps", "cosine", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Configurable):
    """The settings that every method of a comparison trains by. Defaults: HAR's appendix B, at a smaller rate."""

    section: ClassVar[str | None] = "train"

    epochs: int = setting(60, "passes over the training data", "[1, inf)")
    batch_size: int = setting(128, "examples in a batch; BatchNorm can't take a single one", "[2, inf)")
    optimizer: OptimizerName = setting("sgd", "the optimizer of the weights; sgd has momentum")
    lr: float = setting(0.05, "learning rate; 0.05 is a good start for sgd, 0.001 for adam", "(0, inf)")
    momentum: float = setting(0.9, "momentum of sgd", "[0, 1)")
    weight_decay: float = setting(
        1e-4,
        "how strongly weights are pulled to 0; by adam, which would pull unused ones as fast as it learns others, not "
        "embeddings, normalization layers and biases",
        "[0, inf)",
    )
    schedule: ScheduleName = setting(
        "steps", "how the rate falls: steps multiplies it by decay at each of milestones, cosine takes it to 0"
    )
    milestones: tuple[float, ...] = setting(
        (2 / 3, 5 / 6), "when the schedule steps multiplies the rate, in fractions of the epochs", "(0, 1]"
    )
    decay: float = setting(0.1, "by how much the schedule steps multiplies the rate", "(0, 1]")
    warmup: float = setting(0.0, "fraction of the epochs over which the rate rises linearly", "[0, 1)")
    augment: Augment = setting(
        "auto",
        "how images are augmented: crop-flip crops them at random with 4 pixels of padding, and flips half of them; "
        "auto does so for colour images",
    )
    device: str = setting("auto", "where to train, such as cpu or cuda:1; auto takes a GPU where there is one")
    workers: int = setting(0, "processes that decode streamed data", "[0, inf)")
    precision: Precision = setting(
        "fp32", "numbers to train in: single precision, or mixed with bf16 or fp16, the latter with a loss scaler"
    )
    channels_last: bool = setting(False, "whether the channels of images lie last in memory")
    compile: bool = setting(
        False,
        "whether the network is compiled (torch.compile), which takes a minute and pays on a GPU, and in long runs",
    )

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
