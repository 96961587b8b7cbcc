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
"""

from __future__ import annotations

import math
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


def select(strength: Tensor, share: Share, selection: Selection) -> SelectedRows:
    """Return the examples that take the second pass. "drawn" draws one number from torch's generator.

    Parameters
    ----------
    strength : Tensor
        s_i, [B] ≥ 0.
    share : float or "auto"
        The share of the batch, in (0, 1], or "auto".
    selection : str
        "largest" or "drawn".
    """
    if share == "auto":
        rows = strength.nonzero().flatten()
    elif selection == "largest":
        count = math.ceil(share * len(strength) - 1e-9)
        rows = strength.topk(count).indices.sort().values
        rows = rows[strength[rows] > 0]
    else:
        chance = probabilities(strength, share * len(strength))
        upper = chance.cumsum(0) + torch.rand(()).to(chance)
        rows = (upper.floor() > (upper - chance).floor()).nonzero().flatten()
        return SelectedRows(rows, (1 / chance[rows]).to(strength.dtype))
    return SelectedRows(rows, strength.new_ones(len(rows)))


def probabilities(strength: Tensor, count: float) -> Tensor:
    """Return π_i = min(1, c·s_i), [B] float64, that sum to `count`; 1 for each s_i > 0 where these are fewer.

    Parameters
    ----------
    strength : Tensor
        s_i, [B] ≥ 0.
    count : float
        How many examples are drawn on average, in (0, B].
    """
    s = strength.double()
    ordered = s.sort(descending=True).values
    rest = ordered.flip(0).cumsum(0).flip(0)  # Σ of the s that are not among the k largest, for k = 0..B-1
    certain = torch.arange(len(s), device=s.device)  # k examples with π = 1
    c = (count - certain) / rest
    fits = (c > 0) & (c * ordered <= 1)  # the largest of the others does not reach 1
    if not fits.any():
        return (s > 0).double()
    return (c[fits][0] * s).clamp(max=1.0)
