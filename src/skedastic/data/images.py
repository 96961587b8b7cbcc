"""Images: arrays of pixels, and encoded images in Parquet or in files of their own, decoded when they are asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from skedastic.data.sources.arrays import wrong_shape
from skedastic.data.sources.names import shown_name
from skedastic.errors import UserError, first_line

NEEDS_EXTRA = "images in Parquet files, hf: and .tar need the package datasets; pip install 'skedastic[images]'"
COLOURED = ("RGB", "P", "RGBA", "L")  # modes that become RGB without loss for a photograph
THREADS_FROM = 96 * 96  # pixels; decoding smaller images is faster in one thread
CHUNK = 1024  # images decoded at a time
SIZES_FROM = 200  # images whose sizes are looked at first
MOST_PIXELS = 64  # of a side, where images of different sizes are resized without being asked to


class Bytes(Protocol):
    """Encoded images by row."""

    def __len__(self) -> int:
        """Return n."""
        ...

    def read(self, rows: Sequence[int]) -> list[bytes | None]:
        """Return the bytes of each of the rows; None where there are none."""
        ...

    def name(self, row: int) -> str:
        """Return where the image of a row is, as errors say it."""
        ...


@dataclass(frozen=True, eq=False)
class ArrowBytes:
    """The bytes of a column of images in a `datasets.Dataset`, memory-mapped.

    It pickles as the path of the mapped file.
    """

    data: Any  # of one column, in the format "arrow"
    column: str
    file: str

    def __len__(self) -> int:
        return len(self.data)

    def read(self, rows: Sequence[int]) -> list[bytes | None]:
        """Return the bytes of each of the rows, those of a file where the cell holds a path only."""
        cells = self.data[list(rows)].column(self.column).combine_chunks()
        encoded: list[bytes | None] = cells.field("bytes").to_pylist()
        if any(e is None for e in encoded):
            paths = cells.field("path").to_pylist()
            encoded = [e if e is not None or not p else _bytes_of(p) for e, p in zip(encoded, paths, strict=True)]
        return encoded

    def name(self, row: int) -> str:
        """Return where the image of a row is, as errors say it."""
        return f"{self.file}, row {row}, column {self.column!r}"


@dataclass(frozen=True, eq=False)
class FileBytes:
    """Images in files of their own."""

    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: Sequence[int]) -> list[bytes | None]:
        """Return the bytes of each of the rows."""
        return [_bytes_of(self.paths[row]) for row in rows]

    def name(self, row: int) -> str:
        """Return the file of a row."""
        return self.paths[row]


def _bytes_of(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes() or None
    except OSError:
        return None


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """n images of one size, kept encoded on disk, and decoded to uint8 [m, C, H, W] on demand.

    Parameters
    ----------
    encoded : Bytes
        The encoded images of the whole source.
    rows : Tensor
        The rows of the source that these are, [n] int64.
    size : tuple of int
        (C, H, W).
    resized : bool
        Whether images of another size are cropped to the middle of this shape and resized; else they are refused.
    """

    encoded: Bytes
    rows: Tensor
    size: tuple[int, int, int]  # C, H, W
    resized: bool = False
    dtype: torch.dtype = torch.uint8

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, C, H, W)."""
        return (len(self.rows), *self.size)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Tensor) -> EncodedImages:
        """Return the images at positions `rows` [m]; nothing is decoded."""
        return replace(self, rows=self.rows[rows])

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Decode the images at positions `rows` [m]: uint8 [m, C, H, W].

        Raises UserError, naming the row, where one can't be decoded or differs in size from the first.
        """
        channels, height, width = self.size
        numbers = self.rows[rows].tolist()
        pixels = np.empty((len(numbers), height, width, channels), dtype=np.uint8)

        def fill(start: int) -> None:
            chunk = numbers[start : start + CHUNK]
            for place, (row, encoded) in enumerate(zip(chunk, self.encoded.read(chunk), strict=True), start):
                pixels[place] = self._decode(row, encoded)

        starts = range(0, len(numbers), CHUNK)
        if (height * width >= THREADS_FROM or self.resized) and len(starts) > 1:
            with ThreadPoolExecutor() as pool:
                list(pool.map(fill, starts))
        else:
            for start in starts:
                fill(start)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

    def _decode(self, row: int, encoded: bytes | None) -> NDArray[np.uint8]:
        name = self.encoded.name(row)
        with open_image(encoded, name) as image:
            channels, height, width = self.size
            if image.size != (width, height) and not self.resized:
                rule = (
                    f"the image has {image.width} x {image.height} pixels, the first one has {width} x {height}; "
                    "resize all images to one size with --image-size"
                )
                raise UserError(rule, setting=name, value=f"{image.width} x {image.height}", given=name)
            if channels == 1 and image.mode != "L":
                rule = f"the image has mode {image.mode}, the first one is grey (L); convert all images to one mode"
                raise UserError(rule, setting=name, value=image.mode, given=name)
            pixels = image if channels == 1 else _to_rgb(image, name)
            if pixels.size != (width, height):
                pixels = PIL.ImageOps.fit(pixels, (width, height), PIL.Image.Resampling.BILINEAR)
            flat = np.frombuffer(pixels.tobytes(), dtype=np.uint8)
        return flat.reshape(height, width, channels)


def encoded_images(encoded: Bytes, size: int | None = None) -> tuple[EncodedImages, tuple[str, ...]]:
    """Return the images of a source, and a note where they are resized.

    The first image says whether all are grey or colour.

    Parameters
    ----------
    encoded : Bytes
        The encoded images.
    size : int or None, optional
        The pixels of each side. By default images stay as they are where the first ones are of one size; else each side
        gets the smallest side among these, at most 64.

    Raises
    ------
    UserError
        An image can't be opened.
    """
    sizes, grey = [], False
    for row in range(0, len(encoded), max(1, len(encoded) // SIZES_FROM)):
        with open_image(encoded.read([row])[0], encoded.name(row)) as image:
            sizes.append(image.size)
            grey = image.mode == "L" if row == 0 else grey
    notes: tuple[str, ...] = ()
    if size is None and len(set(sizes)) > 1:
        size = min(MOST_PIXELS, min(min(s) for s in sizes))
        notes = (f"images of different sizes: cut to squares and resized to {size} × {size} (--image-size)",)
    width, height = (size, size) if size is not None else sizes[0]
    shape = (1 if grey else 3, height, width)
    return EncodedImages(encoded, torch.arange(len(encoded)), shape, resized=size is not None), notes


def parquet_bytes(paths: Sequence[Path], column: str) -> ArrowBytes:
    """Map the column of images of Parquet files, through the cache of the package datasets. Raises UserError."""
    with quiet_datasets(str(paths[0])) as datasets:
        try:
            data = datasets.Dataset.from_parquet([str(p) for p in paths], columns=[column]).with_format("arrow")
        except (OSError, datasets.exceptions.DatasetsError) as error:
            reason = first_line(error.__cause__ or error, 100)
            rule = (
                f"the images can't be mapped from the cache of the package datasets ({reason}); set HF_HOME to a "
                "folder that can be written, with room for a copy of the file"
            )
            raise UserError(rule, setting=str(paths[0])) from None
    return ArrowBytes(data, column, shown_name(paths))


@contextmanager
def quiet_datasets(name: str) -> Iterator[Any]:
    """Lend the package datasets, without progress bars.

    Raises UserError, with the name of the source that needs it, where it is not installed.
    """
    try:
        import datasets
        from datasets.utils import are_progress_bars_disabled
    except ImportError:
        raise UserError(NEEDS_EXTRA, setting=name) from None
    quiet = are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield datasets
    finally:
        if not quiet:
            datasets.enable_progress_bars()


@contextmanager
def open_image(encoded: bytes | None, name: str) -> Iterator[Image]:
    """Open an encoded image, for the length of a with-block. Raises UserError, with its name, where it is none."""
    if encoded is None:
        raise UserError("the image is empty or not there; remove the row, or restore the image", setting=name)
    try:
        with PIL.Image.open(io.BytesIO(encoded)) as image:
            yield image
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        reason = first_line(error, 100)
        raise UserError(f"the image can't be decoded ({reason}); mend or remove it", setting=name) from None


def _to_rgb(image: Image, name: str) -> Image:
    if image.mode not in COLOURED:
        rule = f"the image has mode {image.mode}; convert the images to RGB or grey (L)"
        raise UserError(rule, setting=name, value=image.mode, given=name)
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
