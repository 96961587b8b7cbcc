"""Encoders: from the raw features of a source to the inputs of a network.

An encoder is fitted on training rows only, saved as plain JSON and arrays, and used again for test rows and to predict.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.dataset import Features
from skedastic.models.inputs import Inputs


class Encoder(ABC):
    """From raw features to the tensor that a network reads, as fitted on the training rows."""

    @property
    @abstractmethod
    def inputs(self) -> Inputs:
        """Return the inputs of the network."""

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
        """Return the features of a source as a dataset holds them.

        Parameters
        ----------
        features : Columns or Features
            The features of the source.
        rows : Tensor or None, optional
            The rows that are wanted, [m] int64; by default all.
        """

    @abstractmethod
    def for_prediction(self, X: Any) -> Tensor:
        """Return features to predict from as the tensor [n, ...] that the network reads.

        Parameters
        ----------
        X : Any
            A user's frame, array, tensor or list.

        Raises
        ------
        UserError
            A column is missing, a shape is wrong, or a value is not a finite number.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the fitted parameters as plain JSON values, but for `arrays`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fitted parameters that are large arrays, by name."""
        return {}
