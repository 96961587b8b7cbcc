"""From an image in a file to 8-bit pixels, as a person sees it: upright, over white, in grey or RGB.

Every image goes through `Decoding.pixels`, wherever it comes from: files, Parquet, archives, data sets of Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray
from PIL.Image import Image

from skedastic.errors import UserError, first_line

Name = Callable[[], str]  # gives the name of an image, which only an error needs
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # modes of grey images with more than 8 bits
GREY = ("1", "L", "LA", "La", *DEEP)
PALETTE = ("P", "PA")
LEVELS = (255, 1023, 4095, 16383, 65535)  # largest values of cameras, scanners and microscopes
ORIENTATION = 0x0112  # the EXIF tag
HINTS = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")  # where a file may say how it is turned
WHITE = (255, 255, 255, 255)


@dataclass(frozen=True)
class Decoding:
    """How the images of a source become 8-bit pixels; the same in training and in prediction.

    Parameters
    ----------
    channels : int
        1 where all training images are grey, else 3.
    level : float
        The value that becomes 255 in grey images of more than 8 bits; 0 where training has none.
    alpha : bool
        Whether an image is its transparency, as grey: the visible part of each training image is white.
    """

    channels: int = 3
    level: float = 0.0
    alpha: bool = False

    def pixels(self, image: Image, name: Name) -> Image:
        """Return an image as "L" where there is one channel, else as "RGB", upright.

        Parameters
        ----------
        image : Image
            The image; of several frames or pages the first is read.
        name : callable
            Gives its name in errors.

        Raises
        ------
        UserError
            Its mode is unknown, it is deeper than those of training, or `alpha` is set and it has no transparency.
        """
        image = upright(image)
        if self.alpha:
            return transparency(image, name)
        if image.mode in DEEP:
            image = self._scaled(image, name)
        wanted = "L" if self.channels == 1 else "RGB"
        return image if image.mode == wanted and not may_be_transparent(image) else opaque(image, name).convert(wanted)

    def _scaled(self, image: Image, name: Name) -> Image:
        values = values_of(image, name)
        highest, level = float(values.max()), self.level or 255.0
        if highest > level:
            rule = (
                f"the values of this grey image reach {highest:g}, and those of the others are taken from 0 to "
                f"{level:g}; scale them alike, or remove it"
            )
            raise UserError(rule, setting=name(), value=highest, given=name())
        scaled = np.rint(values.astype(np.float64) * (255 / level))
        return PIL.Image.fromarray(scaled.astype(np.uint8))


PLAIN = Decoding()


def upright(image: Image) -> Image:
    """Return an image turned as its EXIF data says; the same object where these say nothing."""
    return PIL.ImageOps.exif_transpose(image) if orientation(image) > 1 else image


def orientation(image: Image) -> int:
    """Return how the EXIF data say that an image lies, from 1 (upright) to 8; 1 where these can't be read."""
    image.load()  # a PNG may say so after its pixels
    if image.format != "TIFF" and not any(hint in image.info for hint in HINTS):
        return 1
    try:
        said = image.getexif().get(ORIENTATION, 1)
    except Exception:  # of damaged data Pillow raises errors of all kinds
        return 1
    return said if isinstance(said, int) and 1 <= said <= 8 else 1


def is_colour(image: Image) -> bool:
    """Tell whether an image is in colour, by its mode and its palette."""
    if image.mode not in PALETTE:
        return image.mode not in GREY
    palette = image.getpalette("RGB") or []
    return not palette[0::3] == palette[1::3] == palette[2::3]


def opaque(image: Image, name: Name) -> Image:
    """Return an image of any mode as "L" or "RGB", where it is transparent over white. Raises UserError."""
    if may_be_transparent(image):
        over = PIL.Image.new("RGBA", image.size, WHITE)
        over.alpha_composite(rgba(image))
        return over.convert("RGB" if is_colour(image) else "L")
    if image.mode == "LAB":
        return _from_lab(image, name)
    return _converted(image, "RGB" if is_colour(image) else "L", name)


def alpha_of(image: Image) -> Image | None:
    """Return how opaque the pixels of an image are, as "L"; None where all of them are."""
    if not may_be_transparent(image):
        return None
    alpha = rgba(image).getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def transparency(image: Image, name: Name) -> Image:
    """Return the transparency of an image as grey, "L". Raises UserError where it can have none."""
    if not may_be_transparent(image):
        rule = (
            "the image has no transparency, and the images of training are white shapes on transparent ground; "
            "give such a one"
        )
        raise UserError(rule, setting=name())
    return rgba(image).getchannel("A")


def values_of(image: Image, name: Name) -> NDArray[Any]:
    """Return the values [H, W] of a deep image. Raises UserError where one is negative or not finite."""
    values = np.asarray(image)
    if not np.isfinite(values).all() or values.min() < 0:
        what = "negative values" if np.isfinite(values).all() else "values that are not finite"
        rule = f"the image has {what}, which have no grey; save it with values from 0 to 65535"
        raise UserError(rule, setting=name())
    return values


def level_for(highest: float, fractions: bool) -> float:
    """Return the value that becomes 255: 1 for fractions of 1, else that of the usual bits that holds the highest."""
    if fractions and highest <= 1:
        return 1.0
    return float(next((level for level in LEVELS if highest <= level), highest))


def may_be_transparent(image: Image) -> bool:
    """Tell whether an image can have transparent parts; of deep ones none is read."""
    return image.mode not in DEEP and image.has_transparency_data


def rgba(image: Image) -> Image:
    """Return an image that may be transparent as "RGBA"."""
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def _converted(image: Image, mode: str, name: Name) -> Image:
    try:
        return image if image.mode == mode else image.convert(mode)
    except ValueError as error:
        rule = f"the image has mode {image.mode} ({first_line(error, 80)}); save it as RGB or grey"
        raise UserError(rule, setting=name(), value=image.mode, given=name()) from None


def _from_lab(image: Image, name: Name) -> Image:
    from PIL import ImageCms

    try:
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB") or image
    except (ImportError, ImageCms.PyCMSError) as error:
        rule = f"the image has mode LAB, which can't be converted here ({first_line(error, 80)}); save it as RGB"
        raise UserError(rule, setting=name(), value="LAB", given=name()) from None
