"""Networks around a body of Hugging Face: its features, pooled, and a linear layer of ours on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.models.inputs import PADDING
from skedastic.models.options import ModelOptions

Pool = Literal["mean", "first", "last"]


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
    dropout: float = setting(0.1, "dropout before the last layer", "[0, 1)")
    freeze: bool = setting(False, "whether only the last layer is trained, and the model stays in evaluation mode")


class OnBody(nn.Module):
    """The model of another package, and a linear layer on the features that it gives.

    Parameters
    ----------
    body : nn.Module
        The model.
    features : int
        The size of its features, and of a vector beside them.
    classes : int
        The size of the output.
    options : Options
        Pooling, dropout, and whether the body is frozen.
    """

    def __init__(self, body: nn.Module, features: int, classes: int, options: Options) -> None:
        super().__init__()
        self.body = body.requires_grad_(not options.freeze)
        self.freeze, self.pool = options.freeze, options.pool
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(features, classes)
        self.train()

    def train(self, mode: bool = True) -> OnBody:
        """Set the mode; a frozen body stays in evaluation mode, so that no mask or batch statistics move it."""
        super().train(mode)
        if self.freeze:
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
        super().__init__(body, features, classes, options)
        self.padding = padding

    def forward(self, tokens: Tensor, beside: Tensor | None = None) -> Tensor:
        """Map tokens [B, L] int64, and the vector [B, v] beside them, to logits [B, classes]."""
        features = self.features(tokens)
        if beside is not None:
            features = torch.cat([features, beside.to(features.dtype)], 1)
        logits: Tensor = self.linear(self.dropout(features))
        return logits

    def features(self, tokens: Tensor) -> Tensor:
        """Return one vector [B, d] for each text."""
        there = tokens != PADDING
        place = torch.arange(tokens.shape[1], device=tokens.device)
        seen = there | (place == 0)  # where nothing at all is seen, as of an empty text, attention is not a number
        ids = torch.where(there, tokens - 1, self.padding)
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
        super().__init__(body, features, classes, options)
        self.channels, self.size = channels, size

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W], with C the body's channels or 1, to logits [B, classes]."""
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        if self.size != tuple(x.shape[-2:]):
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        logits: Tensor = self.linear(self.dropout(pooled(self.body(pixel_values=x), self.pool)))
        return logits


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
