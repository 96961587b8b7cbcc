"""TabM: k members in one network for columns, which share their weights but for scales and shifts of their own.

Source: Gorishniy, Kotelnikov, Babenko, "TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling",
ICLR 2025, section 3; a layer of it is BatchEnsemble's (Wen, Tran, Ba, ICLR 2020, equation 5). Each member has a loss of
its own in training, and the members' predictions are averaged.

There every row goes through all members. A method reads one output of a row, and any loss of an average of the members
would be another objective. So in training each row goes through one member, drawn at random, as many rows through each:
the mean of the rows' losses is then an unbiased estimate of the mean over rows and members, whatever the loss. An epoch
costs what one network costs, and a member sees 1/k of it, so there are more epochs and fewer members than the paper's
32. The package `tabm` of its authors has members that all read the same rows, and no such way.

Three things more differ. The last layer is shared, since methods measure, replace or retrain it; the scales and shifts
before it are each member's. Logits are averaged where the paper averages probabilities, which for a linear layer is the
mean of the members' features, so that every method finds one row of features. And the hidden layers have BatchNorm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.models import tabular
from skedastic.models.inputs import Inputs
from skedastic.models.options import ModelOptions, read_options
from skedastic.models.tabular import EACH, Columns, Dropout

READS = "columns"
SMALL = True
K, RATE, BATCHES = 8, 0.003, 2  # the last: the rows of a batch, of those of `tabular`


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """The members, and the sizes and the dropout of the network."""

    k: int = setting(K, "members; 32 in the paper, where each reads every row", "[1, inf)")
    width: int = setting(256, "units of each hidden layer", "[1, inf)")
    depth: int = setting(3, "hidden layers (linear, BatchNorm, ReLU, dropout)", "[1, inf)")
    dropout: float = setting(0.1, "dropout of hidden units", "[0, 1)")
    waves: int = setting(
        16, "waves of each column of numbers; 0 is none, as where there are over 128 columns", "[0, inf)"
    )


class Members(nn.Module):
    """A linear layer of k members, s_m ∘ W(r_m ∘ x) + b_m, that share W.

    Parameters
    ----------
    inputs : int
        The numbers d that it reads.
    outputs : int
        The numbers d' that it gives.
    first : Tensor
        r, [k, d], to begin with. s is 1, and b the same of all members.
    """

    def __init__(self, inputs: int, outputs: int, first: Tensor) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.shared = nn.Linear(inputs, outputs, bias=False)
        self.r = nn.Parameter(first)
        self.s = nn.Parameter(torch.ones(len(first), outputs))
        self.b = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound).repeat(len(first), 1))

    def forward(self, x: Tensor, of: Tensor | None = None) -> Tensor:
        """Map x [B, d] of the members `of` [B] to [B, d']; without `of`, x [B, k, d] or [B, 1, d] to [B, k, d']."""
        r, s, b = (p if of is None else p[of] for p in (self.r, self.s, self.b))
        out: Tensor = self.shared(x * r) * s + b
        return out


class OfMembers(nn.BatchNorm1d):
    """BatchNorm of x [B, d], or of each member [B, k, d] by the same statistics."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x, normalized."""
        return super().forward(x.flatten(0, -2)).view_as(x)


class TabM(Columns):
    """Rows [B, d] to logits [B, classes]: of one member each in training, else the mean of all members'."""

    def __init__(self, size: int, classes: int, options: Options, numbers: Sequence[int]) -> None:
        super().__init__(size, numbers, options.waves)
        first, inputs = self._first(options.k), self.width
        layers = list[nn.Module]()
        for _ in range(options.depth):
            layers.append(Members(inputs, options.width, first))
            first, inputs = torch.ones(options.k, options.width), options.width
        self.k = options.k
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(OfMembers(options.width) for _ in layers)
        self.dropout = Dropout(options.dropout)
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows [B, d] to logits [B, classes]."""
        x = self.vector(x)
        of = self._drawn(x) if self.training else None
        x = x if self.training else x[:, None]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.dropout(norm(layer(x, of)).relu())
        logits: Tensor = self.linear(x if self.training else x.mean(1))
        return logits

    def _first(self, k: int) -> Tensor:
        """Return the first scales, [k, d]: random signs; with waves normal, one number for all entries of a column."""
        if self.waves is None:
            return torch.randint(2, (k, self.width)) * 2.0 - 1
        each = torch.randn(k, len(self.numbers) + len(self.others))
        return torch.cat([each[:, : len(self.numbers)].repeat_interleave(EACH, 1), each[:, len(self.numbers) :]], 1)

    def _drawn(self, x: Tensor) -> Tensor:
        """Return a member for each row, [B]: each as likely, and in a batch as often as another, or once more."""
        shift = torch.randint(self.k, (1,), device=x.device)
        return (torch.randperm(len(x), device=x.device) + shift) % self.k


def build(input_shape: tuple[int, ...], classes: int, options: Options, *, numbers: Sequence[int] = ()) -> nn.Module:
    """Return a network of k members with `depth` hidden layers of `width` units each.

    Parameters
    ----------
    input_shape : tuple of int
        Any; the input [B, ...] is flattened.
    classes : int
        The size of the output, [B, classes].
    options : Options
        Members, sizes and dropout.
    numbers : sequence of int
        The positions of the columns of numbers, which have waves beside them.
    """
    return TabM(math.prod(input_shape), classes, options, numbers)


def training(inputs: Inputs, rows: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of training that suit the model.

    A member reads each row as often as `tabular` does: with k members there are k times the epochs.

    Parameters
    ----------
    inputs : Inputs
        The network's input.
    rows : int
        Training rows.
    options : mapping
        The options that were given.
    """
    of_one, k = tabular.training(inputs, rows, options), read_options(Options, "tabm", options).k
    return {**of_one, "epochs": k * of_one["epochs"], "batch_size": BATCHES * of_one["batch_size"], "lr": RATE}
