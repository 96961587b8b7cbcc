"""Images: arrays of pixels, and Parquet files of encoded images that are decoded when they are asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from skedastic.errors import UserError

NEEDS_EXTRA = "images in Parquet files need the package datasets; pip install 'skedastic[images]'"
COLOURED = ("RGB", "P", "RGBA", "L")  # modes that become RGB without loss of what a photograph shows
THREADS_FROM = 96 * 96  # pixels; decoding smaller images is faster in one thread
CHUNK = 1024  # images decoded at a time


@dataclass(frozen=True, eq=False)
class ArrowImages:
    """n images of one size, kept encoded on disk, memory-mapped, and decoded to uint8 [m, C, H, W] on demand.

    data: the `datasets.Dataset` of the whole file, one column. rows: [n] int64, which of its rows these are.
    Pickles as the path of the mapped file, so that it travels to the workers of a DataLoader.
    """

    data: Any
    column: str
    file: str
    rows: Tensor
    size: tuple[int, int, int]  # C, H, W
    dtype: torch.dtype = torch.uint8

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, C, H, W)."""
        return (len(self.rows), *self.size)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Tensor) -> ArrowImages:
        """Return the images at positions `rows` [m]; nothing is decoded."""
        return replace(self, rows=self.rows[rows])

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Decode the images at positions `rows` [m]: uint8 [m, C, H, W].

        Raises UserError, naming the row, where one can't be decoded or differs in size from the first of the file.
        """
        channels, height, width = self.size
        numbers = self.rows[rows].tolist()
        pixels = np.empty((len(numbers), height, width, channels), dtype=np.uint8)

        def fill(start: int) -> None:
            chunk = numbers[start : start + CHUNK]
            for place, (row, encoded) in enumerate(zip(chunk, self._encoded(chunk), strict=True), start):
                pixels[place] = self._decode(row, encoded)

        starts = range(0, len(numbers), CHUNK)
        if height * width >= THREADS_FROM and len(starts) > 1:
            with ThreadPoolExecutor() as pool:
                list(pool.map(fill, starts))
        else:
            for start in starts:
                fill(start)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()

    def _encoded(self, rows: Sequence[int]) -> list[bytes | None]:
        cells = self.data[list(rows)].column(self.column).combine_chunks()
        encoded: list[bytes | None] = cells.field("bytes").to_pylist()
        return encoded

    def _decode(self, row: int, encoded: bytes | None) -> NDArray[np.uint8]:
        with open_image(encoded, self.file, row) as image:
            channels, height, width = self.size
            if image.size != (width, height):
                raise UserError(
                    f"{self.file}: the image in row {row} has {image.width} x {image.height} pixels, the first of the "
                    f"file {width} x {height}; resize all images to one size"
                )
            if channels == 1 and image.mode != "L":
                raise UserError(
                    f"{self.file}: the image in row {row} has mode {image.mode}, the first of the file is grey (L); "
                    "convert all images to one mode"
                )
            flat = np.frombuffer((image if channels == 1 else _to_rgb(image, self.file, row)).tobytes(), dtype=np.uint8)
        return flat.reshape(height, width, channels)


def open_images(path: Path, column: str) -> ArrowImages:
    """Open the images of a Parquet file; the first one gives their size, and grey or colour.

    Raises UserError where the packages for it are missing, or the first image can't be decoded.
    """
    try:
        from datasets import Dataset, disable_progress_bars, enable_progress_bars
        from datasets.exceptions import DatasetsError
        from datasets.utils import are_progress_bars_disabled
    except ImportError:
        raise UserError(f"{path}: {NEEDS_EXTRA}") from None
    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        data = Dataset.from_parquet(str(path), columns=[column]).with_format("arrow")
    except (OSError, DatasetsError) as error:
        reason = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError(
            f"{path}: the images can't be mapped from the cache of the package datasets ({reason}); "
            "set HF_HOME to a folder that can be written, with room for a copy of the file"
        ) from None
    finally:
        if not quiet:
            enable_progress_bars()
    images = ArrowImages(data, column, path.name, torch.arange(len(data)), (3, 1, 1))
    with open_image(images._encoded([0])[0], path.name, 0) as first:
        return replace(images, size=(1 if first.mode == "L" else 3, first.height, first.width))


@contextmanager
def open_image(encoded: bytes | None, file: str, row: int) -> Iterator[Image]:
    """Open an encoded image, for the length of a with-block. Raises UserError, naming the row, where it is none."""
    if encoded is None:
        raise UserError(f"{file}: row {row} holds no image; remove the row")
    try:
        with PIL.Image.open(io.BytesIO(encoded)) as image:
            yield image
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError(f"{file}: the image in row {row} can't be decoded ({reason}); mend or remove it") from None


def _to_rgb(image: Image, file: str, row: int) -> Image:
    if image.mode not in COLOURED:
        raise UserError(f"{file}: the image in row {row} has mode {image.mode}; convert the images to RGB or grey (L)")
    return image if image.mode == "RGB" else image.convert("RGB")


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
        raise UserError(f"{name} has shape {list(shape)}; give rows [n, d], or images [n, H, W] or [n, C, H, W]")
    if 0 in pixels.shape[1:]:
        raise UserError(f"{name} has shape {list(shape)}: the images are empty")
    if pixels.is_floating_point():
        return pixels.float()
    if pixels.dtype == torch.bool:
        return pixels.to(torch.uint8) * 255
    low, high = (int(v) for v in pixels.aminmax()) if len(pixels) else (0, 0)
    if low < 0 or high > 255:
        raise UserError(f"{name} holds pixels from {low} to {high}; give integers in 0..255, or reals in [0, 1]")
    return pixels.to(torch.uint8)


def picture(pixels: Tensor) -> Image | None:
    """Return an image [C, H, W], uint8 or real in [0, 1], as a PIL image; None unless C is 1 or 3."""
    if len(pixels) not in (1, 3):
        return None
    values = (pixels.clamp(0, 1) * 255).round().to(torch.uint8) if pixels.is_floating_point() else pixels
    return PIL.Image.fromarray(values.squeeze(0).numpy() if len(pixels) == 1 else values.permute(1, 2, 0).numpy())
