"""Which examples of a batch HAR regularizes, and so need its second pass.

Only the strength s_i = λτ_g(i) decides. Few examples of a long tail have much of it, and a pass of a few is cheap where
they do not meet the others (`core.batch_statistics`):

- "auto": those with s_i > 0 (`methods.har` enforces nothing on groups far below the strongest);
- a share of the batch, "largest": the ⌈share·B⌉ largest s_i, fewer where fewer are above 0. A smaller share leaves
  regularization out, by as much as its size says;
- a share, "drawn": share·B examples on average, example i with probability π_i = min(1, c·s_i) and weight 1/π_i, so
  that the mean over draws is the full sum: Σ_i E[1{i drawn}] x_i / π_i = Σ_i x_i. One uniform number serves all
  (systematic sampling: Madow, "On the theory of systematic sampling, II", Ann. Math. Stat. 1949), so that their count
  hardly varies.

They are chosen on the CPU: how many they are is a shape of the second pass, and an accelerator would have to wait.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Share = float | Literal["auto"]
Selection = Literal["largest", "drawn"]


class SelectedRows(NamedTuple):
    """Some examples of a batch.

    Parameters
    ----------
    rows : Tensor
        Their places in the batch, [k] int64, rising.
    weight : Tensor
        1/π_i, [k]; 1 where nothing was left to chance.
    """

    rows: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> SelectedRows:
        """Return the same on a device, which is not waited for.

        Parameters
        ----------
        device : torch.device
            The device.
        """
        return SelectedRows(self.rows.to(device, non_blocking=True), self.weight.to(device, non_blocking=True))


def select(strength: Tensor, share: Share, selection: Selection) -> SelectedRows:
    """Return the examples that are regularized, on the CPU. "drawn" draws one number from torch's generator.

    Parameters
    ----------
    strength : Tensor
        s_i, [B] ≥ 0, up to a factor, on the CPU; from an accelerator it is copied, which waits for it.
    share : float or "auto"
        The share of the batch, in (0, 1], or "auto".
    selection : str
        "largest" or "drawn".
    """
    s = strength.tolist()
    if share == "auto":
        rows = [i for i, value in enumerate(s) if value > 0]
    elif selection == "largest":
        count = math.ceil(share * len(s) - 1e-9)
        rows = sorted(i for i in sorted(range(len(s)), key=lambda i: -s[i])[:count] if s[i] > 0)
    else:
        chance = probabilities(s, share * len(s))
        (start,) = torch.rand(1).tolist()
        ends = [start + reached for reached in accumulate(chance)]
        rows = [i for i, end in enumerate(ends) if math.floor(end) > math.floor(end - chance[i])]
        weight = torch.tensor([1 / chance[i] for i in rows], dtype=strength.dtype)
        return SelectedRows(torch.tensor(rows, dtype=torch.int64), weight)
    return SelectedRows(torch.tensor(rows, dtype=torch.int64), torch.ones(len(rows), dtype=strength.dtype))


def probabilities(strength: Sequence[float], count: float) -> list[float]:
    """Return π_i = min(1, c·s_i), [B], that sum to `count`; 1 for each s_i > 0 where these are fewer.

    Parameters
    ----------
    strength : sequence of float
        s_i, [B] ≥ 0.
    count : float
        How many examples are drawn on average, in (0, B].
    """
    ordered = sorted(strength, reverse=True)
    rest = list(accumulate(reversed(ordered)))[::-1]  # Σ of the s that are not among the k largest, for k = 0..B-1
    for certain, (largest, sum_of_rest) in enumerate(zip(ordered, rest, strict=True)):  # how many have π = 1
        c = (count - certain) / sum_of_rest if sum_of_rest > 0 else 0.0
        if c > 0 and c * largest <= 1:  # the largest of the others does not reach 1
            return [min(1.0, c * value) for value in strength]
    return [float(value > 0) for value in strength]
