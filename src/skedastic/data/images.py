"""Encoded images in Parquet or in files of their own, decoded when they are asked for."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from skedastic.data.pixels import PLAIN, Decoding, Name
from skedastic.data.sources.confined import Folders, Place, rule_of
from skedastic.data.sources.names import shown_name, shown_path
from skedastic.data.survey import survey
from skedastic.data.tables.unpacked import Footer
from skedastic.errors import UserError, first_line
from skedastic.runtime.limits import check_unpacked, limits, too_much

NEEDS_EXTRA = "images in Parquet files, hf: and .tar need the package datasets; pip install 'skedastic[images]'"
THREADS_FROM = 96 * 96  # pixels; decoding smaller images is faster in one thread
ROWS = 100_000  # whose paths are looked at together
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO", "TGA", "QOI")
CHUNK = 1024  # images decoded at a time
MOST_PIXELS = 64  # of a side, where images of different sizes are resized without being asked to


class Bytes(Protocol):
    """Encoded images by row."""

    def __len__(self) -> int:
        """Return n."""
        ...

    def read(self, rows: Sequence[int]) -> list[bytes | None]:
        """Return the bytes of each of the rows; None where there are none."""
        ...

    def open(self, row: int) -> BinaryIO | None:
        """Return the image of a row as a file, so that a part of it can be read; None where there is none."""
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

    def open(self, row: int) -> BinaryIO | None:
        """Return the image of a row as a file; None where there is none."""
        encoded = self.read([row])[0]
        return None if encoded is None else io.BytesIO(encoded)

    def confined(self, roots: Iterable[str | Path]) -> ArrowBytes:
        """Return the same images, when all paths of those that are files of their own lead into some folders.

        Parameters
        ----------
        roots : iterable of str or Path
            The folders.

        Raises
        ------
        UserError
            A path leads elsewhere, or to no file.
        """
        folders = Folders(roots)
        for start in range(0, len(self), ROWS):
            cells = self.data[start : start + ROWS].column(self.column).combine_chunks()
            away = cells.field("bytes").is_null().to_numpy(zero_copy_only=False).nonzero()[0]
            for row, path in zip(away.tolist(), cells.field("path").take(away).to_pylist(), strict=True):
                if path and (leads := folders.place(path)) not in (Place.INSIDE, Place.NOWHERE):
                    place = f"{self.file}, row {start + row}, column {self.column!r}"
                    raise UserError(f"{shown_path(path)!r} {rule_of(leads)}", setting=place, value=path, given=place)
        return self

    def name(self, row: int) -> str:
        """Return where the image of a row is, and its own name where it has one, as errors say it."""
        cell = self.data[[row]].column(self.column)[0].as_py()
        path = (cell or {}).get("path")
        return f"{self.file}, row {row}, column {self.column!r}" + (f" ({shown_path(path)})" if path else "")


@dataclass(frozen=True, eq=False)
class FileBytes:
    """Images in files of their own."""

    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: Sequence[int]) -> list[bytes | None]:
        """Return the bytes of each of the rows."""
        return [_bytes_of(self.paths[row]) for row in rows]

    def open(self, row: int) -> BinaryIO | None:
        """Return the file of a row; None where it is empty or can't be read."""
        try:
            path = Path(self.paths[row])
            return path.open("rb") if path.stat().st_size else None
        except OSError:
            return None

    def name(self, row: int) -> str:
        """Return the file of a row."""
        return shown_path(self.paths[row])


def _bytes_of(path: str) -> bytes | None:
    file = Path(path)
    try:
        check_unpacked(shown_path(path), file.stat().st_size)
        return file.read_bytes() or None
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
    decoding : Decoding
        How a file becomes pixels.
    """

    encoded: Bytes
    rows: Tensor
    size: tuple[int, int, int]  # C, H, W
    resized: bool = False
    decoding: Decoding = PLAIN
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
        pixels = np.empty((len(numbers), channels, height, width), dtype=np.uint8)

        def fill(start: int) -> None:
            chunk = numbers[start : start + CHUNK]
            for place, (row, encoded) in enumerate(zip(chunk, self.encoded.read(chunk), strict=True), start):
                pixels[place] = self._decode(row, encoded).transpose(2, 0, 1)

        starts = range(0, len(numbers), CHUNK)
        if (height * width >= THREADS_FROM or self.resized) and len(starts) > 1:
            with ThreadPoolExecutor() as pool:
                list(pool.map(fill, starts))
        else:
            for start in starts:
                fill(start)
        return torch.from_numpy(pixels)

    def _decode(self, row: int, encoded: bytes | None) -> NDArray[np.uint8]:
        channels, height, width = self.size
        name = partial(self.encoded.name, row)
        with open_image(None if encoded is None else io.BytesIO(encoded), name) as image:
            pixels = self.decoding.pixels(image, name)
            if pixels.size != (width, height):
                if not self.resized:
                    size = f"{pixels.width} x {pixels.height}"
                    rule = (
                        f"the image has {size} pixels, the first one has {width} x {height}; resize all images to one "
                        "size with --image-size"
                    )
                    raise UserError(rule, setting=name(), value=size, given=name())
                pixels = PIL.ImageOps.fit(pixels, (width, height), PIL.Image.Resampling.BILINEAR)
            flat = np.frombuffer(pixels.tobytes(), dtype=np.uint8)
        return flat.reshape(height, width, channels)


def encoded_images(
    encoded: Bytes, size: int | None = None, training: Decoding | None = None
) -> tuple[EncodedImages, tuple[str, ...]]:
    """Return the images of a source, and notes on what is done to them.

    Parameters
    ----------
    encoded : Bytes
        The encoded images.
    size : int or None, optional
        The pixels of each side. By default images stay as they are where the first ones are of one size; else each side
        gets the smallest side among these, at most 64.
    training : Decoding or None, optional
        How the images of training are decoded, where these are to test or to predict from.

    Raises
    ------
    UserError
        An image can't be opened.
    """

    @contextmanager
    def lend(row: int) -> Iterator[tuple[Image, Name]]:
        name = partial(encoded.name, row)
        with open_image(encoded.open(row), name) as image:
            yield image, name

    found = survey(len(encoded), lend, training)
    notes: tuple[str, ...] = found.notes
    if size is None and len(set(found.sizes)) > 1:
        size = min(MOST_PIXELS, min(min(s) for s in found.sizes))
        notes += (f"images of different sizes: cut to squares and resized to {size} × {size} (--image-size)",)
    width, height = (size, size) if size is not None else found.sizes[0]
    shape = (found.decoding.channels, height, width)
    images = EncodedImages(encoded, torch.arange(len(encoded)), shape, size is not None, found.decoding)
    return images, notes


def parquet_bytes(paths: Sequence[Path], column: str) -> ArrowBytes:
    """Map the column of images of Parquet files, through the cache of the package datasets. Raises UserError."""
    for path in paths:
        Footer(path).check(column, whole=False)
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
    return ArrowBytes(data, column, shown_name(paths)).confined([paths[0].parent])


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
def open_image(encoded: BinaryIO | None, name: Name) -> Iterator[Image]:
    """Open an encoded image, for the length of a with-block.

    The format is one of `FORMATS`, whatever its name ends in. Pillow would hand others to other programs: EPS to
    Ghostscript. Raises UserError, with its name, where it is none, or has too many pixels.
    """
    if encoded is None:
        raise UserError("the image is empty or not there; remove the row, or restore the image", setting=name())
    try:
        _raise_limit_of_pillow()
        with encoded, PIL.Image.open(encoded, formats=_formats()) as image:
            _check_pixels(image.width * image.height, name)
            yield image
    except UserError:
        raise
    except PIL.Image.DecompressionBombError as error:
        said = re.search(r"\d+", str(error))
        _check_pixels(int(said[0]) if said else limits().pixels + 1, name)
    except Exception as error:  # of a damaged file Pillow raises errors of all kinds
        reason = first_line(error, 100)
        raise UserError(f"the image can't be decoded ({reason}); mend or remove it", setting=name()) from None


def _check_pixels(pixels: int, name: Name) -> None:
    if pixels > limits().pixels:
        raise too_much(name(), f"the image has {pixels:,} pixels", "pixels", pixels)


@cache
def _formats() -> tuple[str, ...]:
    PIL.Image.init()
    return tuple(name for name in FORMATS if name in PIL.Image.OPEN)


def _raise_limit_of_pillow() -> None:
    """Let Pillow open what the user allows, where that is more than Pillow itself does."""
    own = PIL.Image.MAX_IMAGE_PIXELS
    if own is not None and limits().pixels > 2 * own:  # from there on it refuses
        PIL.Image.MAX_IMAGE_PIXELS = limits().pixels
