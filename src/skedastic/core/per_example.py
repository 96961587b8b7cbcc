"""What is kept of each example: found by its stable name, whatever the order of the batches.

Names are sorted once, so that a lookup is a binary search on the device, and a run that goes on, or whose rows are dealt
out otherwise, finds the same entries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PerExampleBuffer(nn.Module):
    """n entries of one shape, saved with the state that holds them.

    index: [n] the examples' stable names, in any order, each once. shape: of an entry. fill: what all begin with.
    """

    index: Tensor
    values: Tensor

    def __init__(self, index: Tensor, *shape: int, fill: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("index", index.sort().values)  # [n]
        self.register_buffer("values", torch.full((len(index), *shape), fill, dtype=dtype))  # [n, …]

    def of(self, index: Tensor) -> Tensor:
        """Return the entries of the examples named by `index` [B], [B, …]."""
        return self.values[self.places(index)]

    def put(self, index: Tensor, values: Tensor) -> None:
        """Set the entries of the examples named by `index` [B] to `values` [B, …]; of one that comes twice, any of both."""
        self.values[self.places(index)] = values.detach().to(self.values)

    def places(self, index: Tensor) -> Tensor:
        """Return where the examples named by `index` [B] are kept, [B]; each must be one of the n."""
        return torch.searchsorted(self.index, index)
