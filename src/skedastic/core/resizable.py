"""Modules whose tensors have any size once they are fitted, and are loaded with that size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Resizable(nn.Module):
    """A module of buffers alone, which take other values, of any size."""

    def take(self, values: dict[str, Tensor]) -> None:
        """Take other values of some buffers.

        Parameters
        ----------
        values : dict of str to Tensor
            The values by name; they move to where the buffers are.
        """
        for name, value in values.items():
            setattr(self, name, value.to(self._buffers[name].device))  # type: ignore[union-attr]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load buffers of any size."""
        found = {name: state_dict[prefix + name] for name in self._buffers if prefix + name in state_dict}
        self.take({name: torch.empty_like(value) for name, value in found.items()})
        super()._load_from_state_dict(state_dict, prefix, *args)
