"""Images in memory: arrays of pixels, and lists of Pillow's images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import PIL.Image
import torch
from PIL.Image import Image
from torch import Tensor

from skedastic.data.pixels import Decoding, Name
from skedastic.data.sources.arrays import wrong_shape
from skedastic.data.survey import survey
from skedastic.errors import UserError


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """Images uint8 [n, C, H, W] whose decoding is not the usual one, as other images to predict from must have it.

    Parameters
    ----------
    pixels : Tensor
        The images.
    decoding : Decoding
        How they were made.
    """

    pixels: Tensor
    decoding: Decoding
    dtype: torch.dtype = torch.uint8

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, C, H, W)."""
        return tuple(self.pixels.shape)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.pixels[rows]

    def take(self, rows: Tensor) -> DecodedImages:
        """Return the images at positions `rows` [m]."""
        return replace(self, pixels=self.pixels[rows])


def are_pillow(X: Any) -> bool:
    """Tell whether X is a list of images of Pillow."""
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(isinstance(x, Image) for x in X)


def of_pillow(
    images: Sequence[Image], place: str, training: Decoding | None = None
) -> tuple[Tensor | DecodedImages, tuple[str, ...]]:
    """Return images of Pillow as uint8 [n, C, H, W], and notes on what is done to them.

    Parameters
    ----------
    images : sequence of Image
        The images.
    place : str
        Their name in errors, such as "X".
    training : Decoding or None, optional
        How the images of training are decoded, where these are to test or to predict from.

    Raises
    ------
    UserError
        One can't be decoded, or differs in size from the first.
    """

    @contextmanager
    def lend(row: int) -> Iterator[tuple[Image, Name]]:
        yield images[row], partial(_entry, place, row)

    found = survey(len(images), lend, training)
    width, height = found.sizes[0]
    pixels = np.empty((len(images), found.decoding.channels, height, width), dtype=np.uint8)
    for row, image in enumerate(images):
        seen = found.decoding.pixels(image, partial(_entry, place, row))
        if seen.size != (width, height):
            shape, rule = list(seen.size[::-1]), f"the first has shape {[height, width]}; give all the same"
            raise wrong_shape(_entry(place, row), shape, rule)
        pixels[row] = np.asarray(seen).reshape(height, width, -1).transpose(2, 0, 1)
    values, decoding = torch.from_numpy(pixels), found.decoding
    return DecodedImages(values, decoding) if decoding.level or decoding.alpha else values, found.notes


def _entry(place: str, row: int) -> str:
    return f"{place}[{row}]"


def as_images(pixels: Tensor, name: str) -> Tensor:
    """Return images as [n, C, H, W], uint8 or float32, from [n, H, W], [n, C, H, W] or [n, H, W, C] with C 1 or 3.

    Integers must be in 0..255. Raises UserError for other numbers, and for other shapes.
    """
    shape = tuple(pixels.shape)
    if len(shape) == 3:
        pixels = pixels.unsqueeze(1)
    elif len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3):
        pixels = pixels.permute(0, 3, 1, 2).contiguous()
    elif len(shape) != 4:
        raise wrong_shape(name, shape, "must be rows [n, d], or images [n, H, W] or [n, C, H, W]")
    if 0 in pixels.shape[1:]:
        raise wrong_shape(name, shape, "the images are empty")
    if pixels.is_floating_point():
        return pixels.float()
    if pixels.dtype == torch.bool:
        return pixels.to(torch.uint8) * 255
    low, high = (int(v) for v in pixels.aminmax()) if len(pixels) else (0, 0)
    if low < 0 or high > 255:
        rule = "give integers in 0..255, or reals in [0, 1]"
        wrong = low if low < 0 else high
        raise UserError(rule, setting=name, value=wrong, given=f"{name} holds pixels from {low} to {high}")
    return pixels.to(torch.uint8)


def picture(pixels: Tensor) -> Image | None:
    """Return an image [C, H, W], uint8 or real in [0, 1], as a PIL image; None unless C is 1 or 3."""
    if len(pixels) not in (1, 3):
        return None
    values = (pixels.clamp(0, 1) * 255).round().to(torch.uint8) if pixels.is_floating_point() else pixels
    return PIL.Image.fromarray(values.squeeze(0).numpy() if len(pixels) == 1 else values.permute(1, 2, 0).numpy())
