"""Encoders: from the raw features of a source to what a network reads.

An encoder is fitted on training rows only, saved as plain JSON, and used again for the test rows and for prediction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_numeric_dtype
from torch import Tensor

from skedastic.data.arrays import as_tensor
from skedastic.data.columns import CATEGORY, NUMBER, Place, parse
from skedastic.data.dataset import Features
from skedastic.data.images import as_images
from skedastic.data.labels import to_ids
from skedastic.errors import UserError, suggestion

PIXEL_SAMPLE = 5000  # images of a stream that its mean and deviation are taken from, evenly spaced


class Encoder(ABC):
    """What a saved model needs to read features: `kind` is "table" or "image", `input_shape` that of one example."""

    kind: str

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Return (d,) or (C, H, W)."""

    @abstractmethod
    def transform(self, features: Any) -> Features:
        """Return the features of a source's rows as a dataset holds them."""

    @abstractmethod
    def for_prediction(self, X: Any) -> Tensor:
        """Return a user's frame, array, tensor or list as the tensor [n, ...] that the network reads.

        Raises UserError for a missing column, a wrong shape, and values that are not finite numbers.
        """

    def to_json(self) -> dict[str, Any]:
        """Return the fitted parameters as plain JSON values."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Encoder:
        """Return the encoder that `to_json` described. Raises UserError where `state` describes none."""
        fitted = {name: value for name, value in state.items() if name != "kind"}
        kinds: dict[Any, Any] = {"table": TableEncoder.restore, "image": ImageEncoder.restore}
        try:
            encoder: Encoder = kinds[state["kind"]](**fitted)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"the saved encoder is damaged ({reason}); fit the model again") from None
        return encoder


@dataclass(frozen=True)
class TableEncoder(Encoder):
    """Numbers are imputed by the median and standardized, categories become one indicator each, numbers first.

    Equal to scikit-learn's SimpleImputer, StandardScaler and OneHotEncoder(handle_unknown="ignore") in a
    ColumnTransformer, but kept as numbers in plain sight. median, mean, scale: one of each for each of `numbers`.
    categories: column -> its values in training, "" being a missing cell; others give zeros in all indicators.
    """

    numbers: tuple[str, ...]
    median: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    categories: Mapping[str, tuple[str, ...]]

    kind = "table"

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> TableEncoder:
        """Fit on the training rows of a cleaned frame: float64 columns, and columns of strings."""
        numbers = tuple(name for name in frame.columns if is_numeric_dtype(frame[name].dtype))
        values = frame[list(numbers)].to_numpy(np.float64)
        empty = np.isnan(values).all(axis=0)
        median = np.nanmedian(np.where(empty, 0.0, values), axis=0) if len(numbers) else np.empty(0)
        values = np.where(np.isnan(values), median, values)
        mean, scale = values.mean(axis=0), values.std(axis=0)
        constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)  # rounding, not variation
        return cls(
            numbers,
            tuple(median.tolist()),
            tuple(mean.tolist()),
            tuple(np.where(constant, 1.0, scale).tolist()),
            {name: tuple(sorted(set(frame[name]))) for name in frame.columns if name not in set(numbers)},
        )

    @classmethod
    def restore(cls, **fitted: Any) -> TableEncoder:
        """Return the encoder of the parameters that `to_json` gave."""
        categories = {name: tuple(values) for name, values in fitted.pop("categories").items()}
        encoder = cls(**{name: tuple(values) for name, values in fitted.items()}, categories=categories)
        if len({len(v) for v in (encoder.numbers, encoder.median, encoder.mean, encoder.scale)}) != 1:
            raise ValueError("its columns and parameters differ in number")
        return encoder

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return (d,)."""
        return (len(self.numbers) + sum(map(len, self.categories.values())),)

    def transform(self, features: pd.DataFrame) -> Tensor:
        """Return cleaned rows as float32 [n, d]."""
        values = features[list(self.numbers)].to_numpy(np.float64)
        values = (np.where(np.isnan(values), self.median, values) - np.array(self.mean)) / np.array(self.scale)
        parts = [values.astype(np.float32)]
        for name, known in self.categories.items():
            ids = to_ids(features[name].to_numpy(), known)
            parts.append((ids[:, None] == torch.arange(len(known))).numpy().astype(np.float32))
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def for_prediction(self, X: Any) -> Tensor:
        """Return a frame that has the columns of training (others are left aside), or an array [n, d] of numbers.

        Missing cells of a frame are imputed; NaN in an array is refused, as in training.
        """
        if not isinstance(X, pd.DataFrame):
            values = as_tensor(X, "X")
            if self.categories:
                raise UserError(f"X must be a frame with the columns {', '.join(self._columns)}, as in training")
            if values.ndim != 2 or values.shape[1] != len(self.numbers):
                raise UserError(f"X has shape {list(values.shape)}; the model was trained on [n, {len(self.numbers)}]")
            X = pd.DataFrame(values.numpy(), columns=list(self.numbers))
        X = X.rename(columns=str)  # as in training
        for name in self._columns:
            if name not in X.columns:
                near = suggestion(name, map(str, X.columns)).replace("did you mean", "is it")
                raise UserError(f"X lacks the column {name!r} that the model was trained on{near}")
        kinds = {**dict.fromkeys(self.numbers, NUMBER), **dict.fromkeys(self.categories, CATEGORY)}
        places = {name: Place(f"X: column {name!r}", f"X[{name!r}], row {{}}") for name in kinds}
        return self.transform(pd.DataFrame({name: parse(X[name], kind, places[name]) for name, kind in kinds.items()}))

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*self.numbers, *self.categories)


@dataclass(frozen=True)
class ImageEncoder(Encoder):
    """Images pass as they are; the network standardizes them by the mean and deviation per channel.

    shape: (C, H, W). mean, std: [C], of pixels in [0, 1], over the training rows (of a stream: over 5,000 of them).
    integers: the training images were integers in 0..255.
    """

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    integers: bool

    kind = "image"

    @classmethod
    def fit(cls, images: Features) -> ImageEncoder:
        """Fit on the training images [n, C, H, W]."""
        if isinstance(images, Tensor):
            pixels = images
        else:
            pixels = images[torch.arange(0, len(images), max(1, -(-len(images) // PIXEL_SAMPLE)))]
        integers = not pixels.is_floating_point()
        values = pixels.transpose(0, 1).flatten(1)
        channels = [v.double() / 255 if integers else v.double() for v in values]
        std = [float(c.std(correction=0)) for c in channels]
        mean = [float(c.mean()) for c in channels]
        count, height, width = images.shape[1:]
        return cls((count, height, width), tuple(mean), tuple(s if s > 1e-6 else 1.0 for s in std), integers)

    @classmethod
    def restore(cls, **fitted: Any) -> ImageEncoder:
        """Return the encoder of the parameters that `to_json` gave."""
        return cls(tuple(fitted["shape"]), tuple(fitted["mean"]), tuple(fitted["std"]), bool(fitted["integers"]))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return (C, H, W)."""
        return self.shape

    def transform(self, features: Features) -> Features:
        """Return the images [n, C, H, W] as they are."""
        return features

    def for_prediction(self, X: Any) -> Tensor:
        """Return images [n, H, W], [n, C, H, W] or [n, H, W, C], integers in 0..255 or reals as in training."""
        images = as_images(as_tensor(X, "X"), "X")
        if tuple(images.shape[1:]) != self.shape:
            here, there = list(images.shape[1:]), list(self.shape)
            raise UserError(f"X holds images {here}; the model was trained on {there} (channels, height, width)")
        if self.integers and images.is_floating_point() and len(images) and (images.min() < 0 or images.max() > 1):
            raise UserError(
                f"X holds real pixels from {images.min():g} to {images.max():g}; the model was trained on integers in "
                "0..255: give those, or divide by 255"
            )
        return images
