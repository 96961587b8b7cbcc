"""The encoder of images: they pass as they are, and the network standardizes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from skedastic.data.dataset import Features
from skedastic.data.encoders.encoder import Encoder
from skedastic.data.image_arrays import are_pillow, as_images, of_pillow
from skedastic.data.pixels import PLAIN, Decoding
from skedastic.data.sources.arrays import as_tensor
from skedastic.errors import UserError
from skedastic.models.inputs import Inputs

LEVELS, AT_A_TIME = 256, 500  # values of a pixel; images that are counted at a time
PIXEL_SAMPLE = 5000  # images of a stream that its mean and deviation are taken from, evenly spaced


@dataclass(frozen=True)
class ImageEncoder(Encoder):
    """Images pass as they are; the network standardizes them by the mean and deviation of each channel.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W).
    mean, std : tuple of float
        [C], of pixels in [0, 1], over the training rows (for a stream, over 5,000 of them).
    integers : bool
        Whether the training images were integers in 0..255.
    level : float
    alpha : bool
        How images of Pillow become pixels, as in `Decoding`.
    """

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    integers: bool
    level: float = 0.0
    alpha: bool = False

    @classmethod
    def fit(cls, images: Features, rows: Tensor | None = None) -> ImageEncoder:
        """Fit on training images.

        Parameters
        ----------
        images : Features
            Images [n, C, H, W], or a stream of them.
        rows : Tensor or None, optional
            The training rows, [m] int64; by default all.
        """
        rows = torch.arange(len(images)) if rows is None else rows
        if not isinstance(images, Tensor):
            rows = rows[:: max(1, -(-len(rows) // PIXEL_SAMPLE))]
        integers = not images.dtype.is_floating_point
        of_channels = _of_integers(images, rows) if integers else _of_reals(images[rows])
        mean, std = zip(*of_channels, strict=True)
        count, height, width = images.shape[1:]
        decoding = getattr(images, "decoding", PLAIN)
        deviation = tuple(s if s > 1e-6 else 1.0 for s in std)
        return cls((count, height, width), mean, deviation, integers, decoding.level, decoding.alpha)

    @classmethod
    def restore(cls, **fitted: Any) -> ImageEncoder:
        """Return the encoder of the parameters that `to_json` gave."""
        shape, mean, std = (tuple(fitted[name]) for name in ("shape", "mean", "std"))
        level, alpha = float(fitted.get("level", 0.0)), bool(fitted.get("alpha", False))
        return cls(shape, mean, std, bool(fitted["integers"]), level, alpha)

    @property
    def inputs(self) -> Inputs:
        """Return the inputs of the network."""
        return Inputs(kind="image", shape=self.shape, mean=self.mean, deviation=self.std)

    def to_json(self) -> dict[str, Any]:
        """Return the fitted parameters as plain JSON values."""
        return {"encoder": "images", **asdict(self)}

    def transform(self, features: Features, rows: Tensor | None = None) -> Features:
        """Return the images [m, C, H, W] as they are; a stream of them stays one."""
        if rows is None:
            return features
        return features[rows] if isinstance(features, Tensor) else features.take(rows)

    def for_prediction(self, X: Any) -> Tensor:
        """Return images [n, H, W], [n, C, H, W] or [n, H, W, C], integers in 0..255 or reals as in training.

        X may also be a list of images of Pillow.
        """
        if are_pillow(X):
            images, _ = of_pillow(X, "X", Decoding(1 if self.shape[0] == 1 else 3, self.level, self.alpha))
            X = images[torch.arange(len(X))]
        images = as_images(as_tensor(X, "X"), "X")
        if tuple(images.shape[1:]) != self.shape:
            here, there = list(images.shape[1:]), list(self.shape)
            rule = f"the model was trained on {there} (channels, height, width); give the same"
            raise UserError(rule, setting="X", value=here, given=f"X holds images {here}")
        if self.integers and images.is_floating_point() and len(images) and (images.min() < 0 or images.max() > 1):
            low, high = float(images.min()), float(images.max())
            rule = "the model was trained on integers in 0..255; give those, or divide by 255"
            wrong = low if low < 0 else high
            raise UserError(rule, setting="X", value=wrong, given=f"X holds real pixels from {low:g} to {high:g}")
        return images


def _of_reals(pixels: Tensor) -> list[tuple[float, float]]:
    """Return the mean and the deviation of each channel of real images [m, C, H, W]."""
    channels = (pixels[:, channel].double() for channel in range(pixels.shape[1]))
    return [(float(values.mean()), float(values.std(correction=0))) for values in channels]


def _of_integers(images: Features, rows: Tensor) -> list[tuple[float, float]]:
    """Return the mean and the deviation of each channel, over 255, of images of integers in 0..255.

    How often each integer occurs is counted, some images at a time: pixels as float64 take eight times as much memory.
    """
    counts = torch.zeros(images.shape[1], LEVELS, dtype=torch.int64)
    for part in torch.split(rows, AT_A_TIME):
        pixels = images[part]
        for channel, count in enumerate(counts):
            count += torch.bincount(pixels[:, channel].flatten(), minlength=LEVELS)
    levels, count = torch.arange(LEVELS, dtype=torch.float64) / 255, counts[0].sum()
    mean = counts.double() @ levels / count
    variance = (counts * (levels - mean[:, None]).square()).sum(1) / count
    return list(zip(mean.tolist(), variance.sqrt().tolist(), strict=True))
