"""Per-example buffers: entries that are looked up by the examples' stable names, whatever the order of the batches.

Names are sorted once, so that a lookup is a binary search on the device. A resumed run, or one whose rows come in
another order, has the same entries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PerExampleBuffer(nn.Module):
    """n entries of one shape, saved with the state that holds them.

    Parameters
    ----------
    index : Tensor
        The examples' stable names, [n] int64, in any order, each once.
    *shape : int
        The shape of an entry.
    fill : float
        The value that every entry begins with.
    dtype : torch.dtype
        The type of the entries.
    """

    index: Tensor
    values: Tensor

    def __init__(self, index: Tensor, *shape: int, fill: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("index", index.sort().values)  # [n]
        self.register_buffer("values", torch.full((len(index), *shape), fill, dtype=dtype))  # [n, …]

    def of(self, index: Tensor) -> Tensor:
        """Return the entries of some examples, [B, …].

        Parameters
        ----------
        index : Tensor
            The examples' names, [B]; each must be one of the n.
        """
        return self.values[self.places(index)]

    def put(self, index: Tensor, values: Tensor) -> None:
        """Set the entries of some examples.

        Parameters
        ----------
        index : Tensor
            The examples' names, [B]; of one that comes twice, either of its values is kept.
        values : Tensor
            Their new entries, [B, …].
        """
        self.values[self.places(index)] = values.detach().to(self.values)

    def places(self, index: Tensor) -> Tensor:
        """Return where some examples are kept, [B] in 0..n-1.

        Parameters
        ----------
        index : Tensor
            The examples' names, [B]; each must be one of the n.
        """
        return torch.searchsorted(self.index, index)
