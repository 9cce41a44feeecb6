"""Makes one kind of picture of all that Pillow opens: upright, 8 bits, without transparency."""

from __future__ import annotations

import numpy as np
from PIL import Image

from production_server.models.image_files.exif import turn_of
from production_server.models.image_files.pnm import to_8_bits
from production_server.models.image_files.unusable import Unusable
from production_server.models.manifest import ImageMode

_OF_16_BITS = to_8_bits(65535)


def upright(image: Image.Image) -> Image.Image:
    """The image, decoded, and turned as its EXIF data says."""
    image.load()
    exif = image.info.get("exif")
    turn = turn_of(exif) if isinstance(exif, bytes) else None
    return image if turn is None else image.transpose(turn)


def flat(image: Image.Image, mode: ImageMode) -> Image.Image:
    """The image in grey or colour; 16 bits are scaled, transparency is laid on white.

    Raises:
        Unusable: it is transparent all over.
    """
    image = _in_8_bits(image)
    if not image.has_transparency_data:
        return _converted(image, mode)
    image, alpha = _parted(image)
    # In the mode that is wanted: two more images in RGBA would be 400 MB where 50 million pixels are allowed.
    laid = Image.new(mode, image.size, "white")
    # An image with four channels is pasted into one with three as it is.
    laid.paste(image if mode == "RGB" else image.convert(mode), mask=alpha)
    return laid


def _converted(image: Image.Image, mode: ImageMode) -> Image.Image:
    """The image in that mode; itself where it is: Pillow would make a copy."""
    return image if image.mode == mode else image.convert(mode)


def check_visible(image: Image.Image) -> None:
    """Whether something is to be seen of an image that has transparency.

    Raises:
        Unusable: it is transparent all over.
    """
    _parted(_in_8_bits(image))


def _parted(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Colours and alpha channel of an image that has transparency."""
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getbbox() is None:
        # Either nothing is to be seen, or the alpha channel is none: a guess would be white, or what nobody has seen.
        expected = "an image of which something is to be seen"
        raise Unusable("unsupported_image", expected=expected, got="one that is transparent all over")
    return image, alpha


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Pillow itself would clip 16 bits to 8."""
    if image.mode not in {"I;16", "I"}:
        return image
    values = np.asarray(image)
    grey = Image.fromarray(_OF_16_BITS[values])
    clear = image.info.get("transparency")
    if clear is not None:
        grey.putalpha(Image.fromarray((values != clear).astype(np.uint8) * np.uint8(255)))
    return grey
