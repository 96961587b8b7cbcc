"""Networks around a body of another package: its features, pooled, and a linear layer of ours on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.models import tabular
from skedastic.models.inputs import PADDING, Inputs
from skedastic.models.kept_features import Frozen
from skedastic.models.options import ModelOptions

Pool = Literal["mean", "first", "last"]
FREEZE = (
    "whether the model itself is not trained; it stays in evaluation mode, and its features of each row are computed "
    "once and kept on disk"
)
DEPTH = (
    "hidden layers of 256 (linear, BatchNorm, ReLU, dropout) between the features and the last layer; by default 2 on "
    "a frozen model, so that methods have a layer to measure at, else none"
)
DEPTH_ON_FROZEN = 2
HEAD_ALONE: Mapping[str, Any] = {"optimizer": "adamw", "epochs": 30, "batch_size": 128}


class Layers(NamedTuple):
    """The layers between the features of a body and the last layer.

    Parameters
    ----------
    freeze : bool
        Whether the body is frozen.
    depth : int or None
        Hidden layers; None is 2 on a frozen body, else none.
    dropout : float or None
        Of the features, where there are no hidden layers, else of these; None is the usual.
    """

    freeze: bool
    depth: int | None
    dropout: float | None

    def made(self, features: int) -> tuple[nn.Module, int]:
        """Return the layers on so many features, and how many numbers they give."""
        depth = (DEPTH_ON_FROZEN if self.freeze else 0) if self.depth is None else self.depth
        if not depth:
            return nn.Dropout(0.1 if self.dropout is None else self.dropout), features
        of_table = tabular.Options(depth=depth, dropout=self.dropout)
        return tabular.hidden_layers(features, of_table, wide=features >= tabular.WIDE), of_table.width


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """The options of a model of Hugging Face."""

    pretrained: bool | None = setting(
        None, "whether to begin with pretrained weights; by default where there are some, false for random ones"
    )
    pool: Pool | None = setting(
        None,
        "token whose state is read, or the mean of all; by default last where a token sees only those before it, and "
        "of images the model's own way, else mean",
    )
    dropout: float | None = setting(
        None,
        "dropout before the last layer, by default 0.1; of hidden layers by default as of the model tabular",
        "[0, 1)",
    )
    freeze: bool = setting(False, FREEZE)
    depth: int | None = setting(None, DEPTH, "[0, inf)")

    @property
    def layers(self) -> Layers:
        """The layers on the features."""
        return Layers(self.freeze, self.depth, self.dropout)


def training_of_head(inputs: Inputs) -> Mapping[str, Any]:
    """Return the settings of training that suit a frozen body: images that are moved would have other features.

    Parameters
    ----------
    inputs : Inputs
        The network's input.
    """
    return {**HEAD_ALONE, "augment": "none"} if inputs.kind == "image" else HEAD_ALONE


class OnBody(nn.Module, ABC):
    """The model of another package, and layers of ours on the features that it gives, of which the last is linear.

    Parameters
    ----------
    body : nn.Module
        The model.
    features : int
        The size of its features, and of a vector beside them.
    classes : int
        The size of the output.
    layers : Layers
        The layers of ours, and whether the body is frozen.
    settings : str
        All that the features depend on beside the weights and the batch.
    """

    def __init__(self, body: nn.Module, features: int, classes: int, layers: Layers, settings: str) -> None:
        super().__init__()
        self.body = body.requires_grad_(not layers.freeze)
        self.hidden, width = layers.made(features)
        self.linear = nn.Linear(width, classes)
        self.frozen = Frozen(body, self.features, f"{type(self).__name__} {settings}") if layers.freeze else None
        self.train()

    def logits(self, features: Tensor) -> Tensor:
        """Map features [B, d], and what is beside them, to logits [B, classes]."""
        logits: Tensor = self.linear(self.hidden(features))
        return logits

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Return the body's features of a batch, [B, d]."""

    def looked_up(self, x: Tensor) -> Tensor:
        """Return the features of a batch, [B, d]; of a frozen body those that are kept, where they are."""
        return self.features(x) if self.frozen is None else self.frozen(x)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen body stays in evaluation mode, so that no mask or batch statistics move it."""
        super().train(mode)
        if self.frozen is not None:
            self.body.eval()
        return self


class OfText(OnBody):
    """Tokens [B, L], the model's own plus 1 and 0 after a text's end, and perhaps a vector [B, v], to logits.

    Parameters
    ----------
    body : nn.Module
        Reads `input_ids` and `attention_mask`, both [B, L], and gives a `last_hidden_state` [B, L, d].
    features, classes, options
        As in `OnBody`.
    padding : int
        The body's own token for padding, which no other token sees.
    """

    def __init__(self, body: nn.Module, features: int, classes: int, options: Options, padding: int) -> None:
        settings = f"{options.pool} {padding} {settings_of(body)}"
        super().__init__(body, features, classes, options.layers, settings)
        self.pool, self.padding = options.pool, padding

    def forward(self, tokens: Tensor, beside: Tensor | None = None) -> Tensor:
        """Map tokens [B, L] int64, and the vector [B, v] beside them, to logits [B, classes]."""
        features = self.looked_up(tokens)
        if beside is not None:
            features = torch.cat([features, beside.to(features.dtype)], 1)
        return self.logits(features)

    def features(self, x: Tensor) -> Tensor:
        """Return one vector [B, d] for each text, of tokens x [B, L]."""
        there = x != PADDING
        place = torch.arange(x.shape[1], device=x.device)
        seen = there | (place == 0)  # where nothing at all is seen, as of an empty text, attention is not a number
        ids = torch.where(there, x - 1, self.padding)
        states: Tensor = self.body(input_ids=ids, attention_mask=seen.long()).last_hidden_state
        length = there.sum(1).clamp_min(1)
        if self.pool == "first":
            return states[:, 0]
        if self.pool == "last":
            return states[torch.arange(len(states), device=states.device), length - 1]
        return (states * there[:, :, None]).sum(1) / length[:, None]


class OfImages(OnBody):
    """Standardized images [B, C, H, W] to logits. Grey images stand for every channel.

    Parameters
    ----------
    body : nn.Module
        Reads `pixel_values` [B, channels, *size].
    features, classes, options
        As in `OnBody`.
    channels : int
        The channels that the body reads.
    size : tuple of int
        The height and width to which images are resized.
    """

    def __init__(
        self, body: nn.Module, features: int, classes: int, options: Options, channels: int, size: tuple[int, int]
    ) -> None:
        settings = f"{options.pool} {size} {settings_of(body)}"
        super().__init__(body, features, classes, options.layers, settings)
        self.pool, self.channels, self.size = options.pool, channels, size

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W], with C the body's channels or 1, to logits [B, classes]."""
        return self.logits(self.looked_up(x))

    def features(self, x: Tensor) -> Tensor:
        """Return one vector [B, d] for each image."""
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        if self.size != tuple(x.shape[-2:]):
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        return pooled(self.body(pixel_values=x), self.pool)


class OfTimm(OnBody):
    """Standardized images [B, C, H, W] to logits, by a frozen model of timm that gives features [B, d].

    Parameters
    ----------
    body, features, classes, layers
        As in `OnBody`.
    settings : str
        The model's name.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W] to logits [B, classes]."""
        return self.logits(self.looked_up(x))

    def features(self, x: Tensor) -> Tensor:
        """Return one vector [B, d] for each image."""
        features: Tensor = self.body(x)
        return features


def settings_of(body: nn.Module) -> str:
    """Return the configuration of a body of Hugging Face, without the place that it was read from."""
    settings: dict[str, Any] = body.config.to_dict() if hasattr(body, "config") else {}  # type: ignore[operator,union-attr]
    return str(sorted((name, str(value)) for name, value in settings.items() if name != "_name_or_path"))


def pooled(out: Any, pool: Pool | None) -> Tensor:
    """Return one vector of each image, [B, d].

    Parameters
    ----------
    out : Any
        The body's output: its own vector, its tokens [B, T, d], or its features [B, d, h, w].
    pool : str or None
        The token to read, or "mean"; None for the body's own way.
    """
    own: Tensor | None = getattr(out, "pooler_output", None)
    if pool is None and own is not None:
        return own.flatten(1)
    states: Tensor = out.last_hidden_state
    if states.dim() == 4:
        return states.mean((2, 3))
    return states[:, 0] if pool == "first" else states.mean(1)
