"""How the images of a source are decoded: a sample of them is looked at, and all of them where one could differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from PIL.Image import Image

from skedastic.data.pixels import (
    DEEP,
    Decoding,
    Name,
    alpha_of,
    is_colour,
    level_for,
    may_be_transparent,
    opaque,
    orientation,
    rgba,
    values_of,
)

Lend = Callable[[int], AbstractContextManager[tuple[Image, Name]]]  # opens the image of a row; with it comes its name
SAMPLE = 200  # images that are looked at first
NEARLY_WHITE = 192  # of 255, in each channel
SIDEWAYS = 5  # EXIF orientations from here on swap width and height
JPEG = ("JPEG", "MPO")
REDUCED = (256, 256)  # pixels that a JPEG is decoded to at least; a larger one takes a fraction of the time so
SEVERAL = ("GIF", "TIFF", "PNG", "WEBP", "AVIF")  # formats whose further images are frames or pages


@dataclass(frozen=True)
class Look:
    """What one image is.

    Parameters
    ----------
    size : tuple of int
        (W, H), upright.
    colour : bool
        Whether it is in colour.
    highest : float or None
        The largest value of a grey image of more than 8 bits; else None.
    fractions : bool
        Whether its values are real numbers.
    several : bool
        Whether it has several frames or pages.
    transparent : bool
        Whether a part of it is transparent.
    white : bool
        Whether, moreover, its visible part is all of one colour, nearly white.
    digests : tuple of bytes
        Of what it looks like over white, and of its transparency.
    """

    size: tuple[int, int]
    colour: bool = False
    highest: float | None = None
    fractions: bool = False
    several: bool = False
    transparent: bool = False
    white: bool = False
    digests: tuple[bytes, bytes] = (b"", b"")


@dataclass(frozen=True)
class Survey:
    """What images are.

    Parameters
    ----------
    sizes : tuple
        (W, H) of each sampled image, upright.
    decoding : Decoding
        How all are decoded.
    notes : tuple of str
        For the user.
    """

    sizes: tuple[tuple[int, int], ...]
    decoding: Decoding
    notes: tuple[str, ...]


def survey(count: int, lend: Lend, training: Decoding | None = None) -> Survey:
    """Look at images, and return how all are decoded.

    Where the sample is all grey, deeper than 8 bits or white on transparent ground, every image is opened, so that
    none loses its colour, exceeds the level or has no transparency.

    Parameters
    ----------
    count : int
        The number of images, at least 1.
    lend : Lend
        Opens the image of a row.
    training : Decoding or None, optional
        How the training images are decoded, where these are to test or to predict from.

    Raises
    ------
    UserError
        An image can't be opened or decoded.
    """
    looks = []
    for row in range(0, count, max(1, count // SAMPLE)):
        with lend(row) as (image, name):
            looks.append(_look(image, name))
    decoding = _chosen(looks, count, lend) if training is None else training
    notes = _notes(looks, count, decoding)
    if training is not None and training.channels == 1 and not training.alpha:
        notes += _turned_grey(count, lend)
    return Survey(tuple(look.size for look in looks), decoding, notes)


def _look(image: Image, name: Name) -> Look:
    several = image.format in SEVERAL and bool(getattr(image, "is_animated", False))
    size = image.size
    if image.format in JPEG:
        image.draft(image.mode, REDUCED)
    turned = orientation(image) >= SIDEWAYS  # the image is loaded
    width, height = size if image.format in JPEG else image.size
    size = (height, width) if turned else (width, height)
    if image.mode in DEEP:
        values = values_of(image, name)
        digests = (_digest(values.tobytes()), b"")
        return Look(size, False, float(values.max()), image.mode == "F", several, digests=digests)
    alpha, colour = alpha_of(image), is_colour(image)
    digests = (_digest(opaque(image, name).tobytes()), b"" if alpha is None else _digest(alpha.tobytes()))
    white = alpha is not None and _is_white(image)
    return Look(size, colour, None, False, several, alpha is not None, white, digests)


def _digest(pixels: bytes) -> bytes:
    return hashlib.blake2b(pixels, digest_size=16).digest()


def _is_white(image: Image) -> bool:
    pixels = np.asarray(rgba(image)).reshape(-1, 4)
    visible = pixels[pixels[:, 3] > 0, :3]
    return bool((visible >= NEARLY_WHITE).all() and (visible == visible[:1]).all())


def _chosen(looks: Sequence[Look], count: int, lend: Lend) -> Decoding:
    """Return how training images are decoded."""
    colour, white = any(look.colour for look in looks), all(look.white for look in looks)
    deep = [(look.highest, look.fractions) for look in looks if look.highest is not None]
    if len(looks) < count and (deep or white or not colour):
        for row in range(count):
            with lend(row) as (image, name):
                colour = colour or is_colour(image)
                white = white and may_be_transparent(image)
                if image.mode in DEEP:
                    deep.append((float(values_of(image, name).max()), image.mode == "F"))
    level = level_for(max(highest for highest, _ in deep), all(real for _, real in deep)) if deep else 0.0
    return Decoding(3 if colour and not white else 1, level, white)


def _notes(looks: Sequence[Look], count: int, decoding: Decoding) -> tuple[str, ...]:
    """Return what is done to the images."""
    images = f"{len(looks):,} images" + (" looked at" if len(looks) < count else "")
    transparent = sum(look.transparent for look in looks)
    said = []
    if any(look.highest is not None for look in looks):
        said.append(f"images of more than 8 bits: 0..{decoding.level:g} scaled to 0..255")
    if decoding.alpha:
        said.append(f"white shapes, whose transparency is read as grey: {transparent:,} of the {images}")
    elif transparent:
        said.append(f"transparent, and laid over white: {transparent:,} of the {images}")
    if several := sum(look.several for look in looks):
        said.append(f"with several frames or pages, of which the first is read: {several:,} of the {images}")
    if len(looks) > 1 and len({look.digests[decoding.alpha] for look in looks}) == 1:
        said.append(f"all {images} look the same, so nothing can be learned from them; check the files")
    return tuple(said)


def _turned_grey(count: int, lend: Lend) -> tuple[str, ...]:
    """Say how many images lose their colour to a model that was trained on grey ones."""
    coloured = 0
    for row in range(count):
        with lend(row) as (image, _):
            coloured += is_colour(image)
    said = f"in colour, and turned grey as those of training are: {coloured:,} of the {count:,} images"
    return (said,) * (coloured > 0)
