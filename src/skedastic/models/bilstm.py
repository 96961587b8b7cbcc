"""A bidirectional LSTM over tokens: the model for text (HAR, appendix B: two layers of 256 units, dropout 0.5).

The paper does not say how the states become one vector. Here it is the mean over the tokens of a text (`pool=mean`); "max", and
"last", the final state of either direction, are there too. Texts are padded, and no padding is ever seen: the second
direction reads each text from its own last token, which gives what packed sequences give, and can be exported.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from skedastic.errors import UserError, check_choice
from skedastic.models import whole
from skedastic.models.inputs import PADDING
from skedastic.models.refusal import refused

READS = "text"
Pool = Literal["mean", "max", "last"]


class Both(nn.Module):
    """One layer of an LSTM in both directions: [B, L, d] and lengths [B] to [B, L, 2·width]."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(size, width, batch_first=True)
        self.backwards = nn.LSTM(size, width, batch_first=True)

    def forward(self, x: Tensor, turned: Tensor) -> Tensor:
        """Map x [B, L, d] to [B, L, 2·width]. turned: [B, L], where each token stands when its text is read backwards."""
        there, _ = self.forwards(x)
        back, _ = self.backwards(_reordered(x, turned))
        return torch.cat([there, _reordered(back, turned)], 2)


class BiLSTM(nn.Module):
    """Tokens [B, L] int64, 0 after a text's end, and a vector [B, beside] where there is one, to logits [B, classes]."""

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        *,
        beside: int,
        width: int,
        layers: int,
        embedding: int,
        dropout: float,
        pool: Pool,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PADDING)
        self.layers = nn.ModuleList(Both(embedding if i == 0 else 2 * width, width) for i in range(layers))
        self.beside = nn.Sequential(nn.Linear(beside, width), nn.ReLU()) if beside else None
        self.dropout = nn.Dropout(dropout)
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


def build(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    vocabulary: int = 0,
    beside: int = 0,
    width: int = 256,
    layers: int = 2,
    embedding: int = 128,
    dropout: float = 0.5,
    pool: Pool = "mean",
) -> nn.Module:
    """Return a BiLSTM of `layers` layers with `width` units in each direction.

    input_shape: (L,), the most tokens of a text. vocabulary: how many tokens there are; beside: the size of the vector of the
    other columns; both are given by the data. embedding: numbers for a token. dropout: in [0, 1), before the last layer.
    """
    if vocabulary < 1:
        rule = "it reads text, and the data has none; name a column with --text, or take --model mlp"
        raise refused("bilstm", rule)
    check_choice("model.pool", pool, get_args(Pool))
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise UserError("must be in [0, 1)", setting="model.dropout", value=dropout)
    return BiLSTM(
        vocabulary,
        classes,
        beside=beside,
        width=whole("width", width),
        layers=whole("layers", layers),
        embedding=whole("embedding", embedding),
        dropout=float(dropout),
        pool=pool,
    )
