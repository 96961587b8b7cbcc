"""A row in, a vector or a text on: the first module of every network that reads ids of categories, or tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skedastic.models.inputs import Inputs


def embedding_width(size: int) -> int:
    """Return how many numbers stand for a category: 1.6 size^0.56, at most 64 (the rule of fastai).

    Parameters
    ----------
    size : int
        The number of categories.
    """
    return min(64, int(1.6 * float(size) ** 0.56 + 0.5))


def vector_width(inputs: Inputs) -> int:
    """Return the size of the vector that `RowInput` makes of the numbers and categories of a row.

    Parameters
    ----------
    inputs : Inputs
        The contents of a row.
    """
    return inputs.real + sum(map(embedding_width, inputs.sizes))


class RowInput(nn.Module):
    """A network that reads rows [B, d] as `Inputs` describes them.

    Parameters
    ----------
    net : nn.Module
        Reads the vector [B, v] of numbers and embedded categories; or, where the row ends with a text, its tokens
        [B, L] int64, and as a second argument the vector, where v is not 0.
    inputs : Inputs
        The contents of a row.
    """

    def __init__(self, net: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.real, self.tokens = inputs.real, inputs.tokens
        self.embeddings = nn.ModuleList(nn.Embedding(size, embedding_width(size)) for size in inputs.sizes)
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Map rows [B, d] to the network's output."""
        end = self.real + len(self.embeddings)
        parts = [x[:, : self.real]] if self.real else []
        parts += [e(x[:, i].long()) for i, e in enumerate(self.embeddings, self.real)]
        vector = torch.cat(parts, 1) if parts else None
        if not self.tokens:
            assert vector is not None
            out: Tensor = self.net(vector)
        else:
            words = x[:, end:].long()
            out = self.net(words) if vector is None else self.net(words, vector)
        return out
