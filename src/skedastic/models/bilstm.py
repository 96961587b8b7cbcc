"""A bidirectional LSTM over tokens: the model for text (HAR, appendix B: two layers of 256 units, dropout 0.5).

The paper does not say how the states become one vector. Here it is the mean over the tokens of a text (`pool=mean`);
"max", and "last", the final state of either direction, are there too. Texts are padded, and no padding is ever seen:
the second direction reads each text from its own last token, with the results of packed sequences, and can be
exported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.models.inputs import PADDING
from skedastic.models.options import ModelOptions
from skedastic.models.refusal import refused

READS = "text"
Pool = Literal["mean", "max", "last"]


class Bidirectional(nn.Module):
    """One layer of an LSTM in both directions: [B, L, d] and lengths [B] to [B, L, 2·width]."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(size, width, batch_first=True)
        self.backwards = nn.LSTM(size, width, batch_first=True)

    def forward(self, x: Tensor, turned: Tensor) -> Tensor:
        """Map x [B, L, d] to [B, L, 2·width]; turned [B, L] is each token's place in its text read backwards."""
        there, _ = self.forwards(x)
        back, _ = self.backwards(_reordered(x, turned))
        return torch.cat([there, _reordered(back, turned)], 2)


class BiLSTM(nn.Module):
    """Tokens [B, L] int64, 0 after a text's end, and a vector [B, v] where there is one, to logits [B, classes]."""

    def __init__(self, vocabulary: int, classes: int, options: Options, beside: int) -> None:
        super().__init__()
        self.pool, width, embedding = options.pool, options.width, options.embedding
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PADDING)
        self.layers = nn.ModuleList(
            Bidirectional(embedding if i == 0 else 2 * width, width) for i in range(options.layers)
        )
        self.beside = nn.Sequential(nn.Linear(beside, width), nn.ReLU()) if beside else None
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(2 * width + (width if beside else 0), classes)

    def forward(self, tokens: Tensor, beside: Tensor | None = None) -> Tensor:
        """Map tokens [B, L], and the vector [B, v] beside them, to logits [B, classes]."""
        features = self.features(tokens)
        if self.beside is not None:
            features = torch.cat([features, self.beside(beside)], 1)
        logits: Tensor = self.linear(self.dropout(features))
        return logits

    def features(self, tokens: Tensor) -> Tensor:
        """Return one vector [B, 2·width] for each text."""
        there = tokens != PADDING
        length = there.sum(1).clamp_min(1)
        place = torch.arange(tokens.shape[1], device=tokens.device)
        turned = torch.where(place < length[:, None], length[:, None] - 1 - place, place)
        x: Tensor = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, turned)
        if self.pool == "last":
            half = x.shape[2] // 2
            last = x[torch.arange(len(x), device=x.device), length - 1, :half]
            return torch.cat([last, x[:, 0, half:]], 1)
        if self.pool == "max":
            x = x.masked_fill(~there[:, :, None], float("-inf")).amax(1).clamp_min(-1)  # -1: of an empty text
        else:
            x = (x * there[:, :, None]).sum(1) / length[:, None]
        return x


def _reordered(x: Tensor, place: Tensor) -> Tensor:
    return x.gather(1, place[:, :, None].expand_as(x))


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """The sizes of the network."""

    width: int = setting(256, "units of each direction", "[1, inf)")
    layers: int = setting(2, "layers", "[1, inf)")
    embedding: int = setting(128, "numbers for a token", "[1, inf)")
    dropout: float = setting(0.5, "dropout before the last layer", "[0, 1)")
    pool: Pool = setting(
        "mean", "states of a text that are read: their mean, their maximum, or the last of each direction"
    )


def build(
    input_shape: tuple[int, ...], classes: int, options: Options, *, vocabulary: int = 0, beside: int = 0
) -> nn.Module:
    """Return a BiLSTM of `layers` layers with `width` units in each direction.

    Parameters
    ----------
    input_shape : tuple of int
        (L,), the most tokens of a text.
    classes : int
        The size of the output, [B, classes].
    options : Options
        Sizes, dropout and pooling.
    vocabulary : int
        How many tokens the data has.
    beside : int
        The size of the vector that the data's other columns make.

    Raises
    ------
    UserError
        The data has no text.
    """
    if vocabulary < 1:
        rule = "it reads text, and the data has none; name a column with --text, or take --model mlp"
        raise refused("bilstm", rule)
    return BiLSTM(vocabulary, classes, options, beside)
