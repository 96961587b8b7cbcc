"""A network for columns: numbers become waves, every entry has a scale, and dropout is strong.

Of the kind of RealMLP (Holzmüller, Grinsztajn, Steinwart, "Better by Default", NeurIPS 2024, section 3): periodic
embeddings of numbers (PBLD) and a learned scale of each input, over numbers that the encoder scales by their quartiles
and clips. Unlike there, hidden layers have BatchNorm and ReLU, which HAR measures at, there is more dropout, and
training takes a few tens of epochs of AdamW. Found on tables, texts and embeddings with clean and with noisy labels
(`benchmarks/tables.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.models.inputs import Inputs
from skedastic.models.options import ModelOptions
from skedastic.models.row_input import vector_width

READS = "columns"
SMALL = True
BYTE, WORD = 256, 8  # values of a byte, and bytes of a word
SUMS = 3  # of the waves of a number
EACH = 1 + SUMS  # entries that stand for a number with waves
MOST_NUMBERS = 128  # columns of numbers, above which none is embedded
WIDE = 200  # entries of a row, from which on they repeat each other, as those of texts and embeddings do
BATCH, FEW_BATCH = 128, 32
FEW_ROWS = 500  # below which batches are smaller, so that there are enough steps
MOST_BATCH = 512
BATCHES = 100  # of an epoch; with more rows a batch grows
EPOCHS, LEAST_EPOCHS = 30, 10
ROWS_READ = 500_000  # in all epochs together, with more rows than that makes EPOCHS of
WIDE_EPOCHS, WIDE_STEPS = 15, 150  # at most, but so many steps


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """The sizes and the dropout of the network."""

    width: int = setting(256, "units of each hidden layer", "[1, inf)")
    depth: int = setting(3, "hidden layers (linear, BatchNorm, ReLU, dropout)", "[1, inf)")
    dropout: float | None = setting(
        None, "dropout of hidden units; by default 0.5 in rows of 200 entries and more, and 0.3 in others", "[0, 1)"
    )
    input_dropout: float | None = setting(
        None, "dropout of the inputs; by default 0.1 in rows of 200 entries and more, and none in others", "[0, 1)"
    )
    waves: int = setting(
        16, "waves of each column of numbers; 0 is none, as where there are over 128 columns", "[0, inf)"
    )


class Waves(nn.Module):
    """Each number x [B, d] beside a few sums of its waves: PBLD(x) = (x, W cos(2π f x + b) + c), [B, 4 d]."""

    def __init__(self, numbers: int, waves: int, sums: int = SUMS, deviation: float = 0.1) -> None:
        super().__init__()
        bound = 1 / math.sqrt(waves)
        self.frequency = nn.Parameter(2 * math.pi * deviation * torch.randn(numbers, waves))
        self.phase = nn.Parameter(torch.empty(numbers, waves).uniform_(-math.pi, math.pi))
        self.weight = nn.Parameter(torch.empty(numbers, waves, sums).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(numbers, sums).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Map numbers [B, d] to [B, d·(1 + sums)]."""
        waves = torch.cos(x[:, :, None] * self.frequency + self.phase)
        sums = torch.einsum("bdw,dws->bds", waves, self.weight) + self.bias
        return torch.cat([x[:, :, None], sums], 2).flatten(1)


class Dropout(nn.Dropout):
    """Dropout whose mask on a CPU is drawn in bytes, which is faster; p to the nearest 1/256."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x, of which entries are 0 with probability p in training, and the others are scaled by 1/(1 − p)."""
        if not self.training or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        dropped = min(round(BYTE * self.p), BYTE - 1)
        words = torch.empty(-(-x.numel() // WORD), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(BYTE / (BYTE - dropped))


class Scale(nn.Module):
    """A learned scale of each input [B, d]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [B, d], scaled."""
        return x * self.scale


class Columns(nn.Module):
    """A network that reads rows [B, d]; where there are few numbers, waves beside each of these.

    Parameters
    ----------
    size : int
        d, the entries of a row.
    numbers : sequence of int
        The positions of the columns of numbers.
    waves : int
        Waves of each number; none where there are over 128 numbers.
    """

    numbers: Tensor
    others: Tensor

    def __init__(self, size: int, numbers: Sequence[int], waves: int) -> None:
        super().__init__()
        embedded = list(numbers) if waves and len(numbers) <= MOST_NUMBERS else []
        others = sorted(set(range(size)) - set(embedded))
        self.register_buffer("numbers", torch.tensor(embedded, dtype=torch.long), persistent=False)
        self.register_buffer("others", torch.tensor(others, dtype=torch.long), persistent=False)
        self.waves = Waves(len(embedded), waves) if embedded else None
        self.width = EACH * len(embedded) + len(others)

    def vector(self, x: Tensor) -> Tensor:
        """Map rows [B, d] to numbers with their sums of waves, one column after the other, and other entries."""
        x = x.flatten(1)
        return x if self.waves is None else torch.cat([self.waves(x[:, self.numbers]), x[:, self.others]], 1)


class Tabular(Columns):
    """Rows [B, d] to logits [B, classes]."""

    def __init__(self, size: int, classes: int, options: Options, numbers: Sequence[int]) -> None:
        super().__init__(size, numbers, options.waves)
        self.layers = hidden_layers(self.width, options, wide=size >= WIDE)
        self.linear = nn.Linear(options.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows [B, d] to logits [B, classes]."""
        logits: Tensor = self.linear(self.layers(self.vector(x)))
        return logits


def hidden_layers(inputs: int, options: Options, *, wide: bool) -> nn.Sequential:
    """Return a learned scale of each input, dropout, and `depth` hidden layers of `width` units.

    Parameters
    ----------
    inputs : int
        The numbers that it reads.
    options : Options
        Sizes and dropout.
    wide : bool
        Whether rows have 200 entries and more, so that there is more dropout by default.
    """
    dropout = (0.5 if wide else 0.3) if options.dropout is None else options.dropout
    first = (0.1 if wide else 0.0) if options.input_dropout is None else options.input_dropout
    layers: list[nn.Module] = [Scale(inputs), *([Dropout(first)] if first else [])]
    for _ in range(options.depth):
        layers += [nn.Linear(inputs, options.width), nn.BatchNorm1d(options.width), nn.ReLU(inplace=True)]
        layers += [Dropout(dropout)] if dropout else []
        inputs = options.width
    return nn.Sequential(*layers)


def build(input_shape: tuple[int, ...], classes: int, options: Options, *, numbers: Sequence[int] = ()) -> nn.Module:
    """Return a network of `depth` hidden layers of `width` units each.

    Parameters
    ----------
    input_shape : tuple of int
        Any; the input [B, ...] is flattened.
    classes : int
        The size of the output, [B, classes].
    options : Options
        Sizes and dropout.
    numbers : sequence of int
        The positions of the columns of numbers, which are embedded.
    """
    return Tabular(math.prod(input_shape), classes, options, numbers)


def training(inputs: Inputs, rows: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of training that suit the model: fewer epochs and larger batches of many rows.

    Parameters
    ----------
    inputs : Inputs
        The network's input.
    rows : int
        Training rows.
    options : mapping
        The options that were given.
    """
    batch = BATCH if rows >= FEW_ROWS else FEW_BATCH
    while batch < MOST_BATCH and rows > BATCHES * batch:
        batch *= 2
    epochs = min(EPOCHS, max(LEAST_EPOCHS, ROWS_READ // max(1, rows)))
    if vector_width(inputs) >= WIDE:
        epochs = min(epochs, max(WIDE_EPOCHS, WIDE_STEPS * batch // max(1, rows)))
    return {"optimizer": "adamw", "epochs": epochs, "batch_size": batch, "threads": 1}
