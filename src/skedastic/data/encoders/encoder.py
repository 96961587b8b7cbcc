"""Encoders: from the raw features of a source to what a network reads.

An encoder is fitted on training rows only, saved as plain JSON, and used again for the test rows and for prediction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from skedastic.data.dataset import Features
from skedastic.models.inputs import Inputs


class Encoder(ABC):
    """What a saved model needs to read features."""

    @property
    @abstractmethod
    def inputs(self) -> Inputs:
        """Return what the network reads."""

    @property
    def kind(self) -> str:
        """Return "table", "text" or "image"."""
        return self.inputs.kind

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of one example."""
        return self.inputs.shape

    @abstractmethod
    def transform(self, features: Any, rows: Tensor | None = None) -> Features:
        """Return the features of a source's rows [m] int64, or of all, as a dataset holds them."""

    @abstractmethod
    def for_prediction(self, X: Any) -> Tensor:
        """Return a user's frame, array, tensor or list as the tensor [n, ...] that the network reads.

        Raises UserError for a missing column, a wrong shape, and values that are not finite numbers.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the fitted parameters as plain JSON values."""
