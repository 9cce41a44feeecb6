"""Image files: hostile bytes from outside become pixels here, for training as for jobs, calls, scans and thumbnails."""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np
from PIL import Image

from production_server.errors import InvalidInput
from production_server.models.decoding import check_time, room_for
from production_server.models.image_files.alpha import is_certain_to_show
from production_server.models.image_files.flat import check_visible, flat, upright
from production_server.models.image_files.opened import BYTES_PER_PIXEL, opened
from production_server.models.image_files.plain import plain_png
from production_server.models.manifest import ImageMode, ImagePreprocessing

Picture: TypeAlias = Image.Image
"""Upright, in grey or colour of 8 bits, without transparency."""
_CORNERS = np.ix_([0, 1, -2, -1], [0, 1, -2, -1])


def check_image(data: bytes, *, field: str, max_pixels: int) -> None:
    """Check that `data` is one whole image within the limit; its size is known before any pixel is decoded.

    Raises:
        TooLarge: it has more than `max_pixels` pixels (code `image_too_large`).
        InvalidInput: it is empty, not an image that is taken, or not whole. Codes `empty_file`, `not_an_image`,
            `unsupported_image`, `damaged_image`.
        Unavailable: there is no memory to decode it in, or no time (code `overloaded`).
    """
    if plain_png(data, max_pixels=max_pixels) is not None:
        check_time()
        return
    with opened(data, field=field, max_pixels=max_pixels) as image:
        if image.format == "PNG" and (not image.has_transparency_data or is_certain_to_show(data)):
            return  # Every chunk had the right checksum, and the last one says that it is whole.
        # At a reduced scale a JPEG is read to its end for a fraction of the decoding cost; others ignore this.
        image.draft(None, (32, 32))
        image.load()
        if image.has_transparency_data:
            check_visible(image)


def size_of(data: bytes, *, max_pixels: int) -> tuple[int, int]:
    """Width and height of an image file as it is stored; nothing of it is decoded.

    Raises:
        InvalidInput, TooLarge, Unavailable: as `check_image`.
    """
    with opened(data, field="image", max_pixels=max_pixels) as image:
        return image.size


def open_picture(data: bytes, mode: ImageMode, *, field: str, max_pixels: int) -> Picture:
    """The picture in an image file in its own size: upright, in grey or colour, transparency laid on white.

    Raises:
        InvalidInput, TooLarge, Unavailable: as `check_image`; `field` is named.
    """
    plain = plain_png(data, max_pixels=max_pixels)
    if plain is not None:
        with room_for(plain.pixels * BYTES_PER_PIXEL["PNG"]):
            picture = plain.decode()
        if picture is not None:
            return flat(picture, mode)
    with opened(data, field=field, max_pixels=max_pixels) as image:
        return flat(upright(image), mode)


def fit(
    picture: Picture,
    preprocessing: ImagePreprocessing,
    *,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """A picture of the manifest's mode, or a box of it, as what the model sees: uint8 [height, width, channels].

    Resizes bilinearly, and inverts what the manifest says.
    """
    size = (preprocessing.width, preprocessing.height)
    if picture.size != size or box is not None:
        # The gap keeps the memory for an image of 50,000,000 × 1 from growing with its side, and big photos quick.
        picture = picture.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    pixels = np.asarray(picture, dtype=np.uint8).reshape(size[1], size[0], preprocessing.channels)
    return 255 - pixels if preprocessing.invert == "auto" and _has_bright_corners(pixels) else pixels


def read_pixels(
    data: bytes, preprocessing: ImagePreprocessing, *, field: str = "image", max_pixels: int
) -> np.ndarray:
    """The pixels of an image file that a model is trained on, and asked with: uint8 [height, width, channels].

    Raises:
        InvalidInput, TooLarge: as `check_image`; `field` is named.
    """
    return fit(open_picture(data, preprocessing.mode, field=field, max_pixels=max_pixels), preprocessing)


def read_picture(data: bytes, *, longest_side: int, max_pixels: int) -> np.ndarray:
    """The pixels of an image file in colour, made smaller where a side is longer: uint8 [height, width, 3].

    Raises:
        InvalidInput, TooLarge, Unavailable: as `check_image`.
    """
    picture = open_picture(data, "RGB", field="image", max_pixels=max_pixels)
    picture.thumbnail((longest_side, longest_side), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def decode_image(data: bytes, preprocessing: ImagePreprocessing, *, max_pixels: int) -> np.ndarray:
    """An image file as float32 [height, width, channels], scaled as the manifest says.

    Raises:
        InvalidInput, TooLarge: as `check_image`.
    """
    pixels = read_pixels(data, preprocessing, max_pixels=max_pixels)
    return pixels.astype(np.float32) * np.float32(preprocessing.scale) + np.float32(preprocessing.offset)


def as_png(pixels: np.ndarray) -> bytes:
    """Pixels, uint8 [height, width] or [height, width, 1 or 3], as a PNG file."""
    buffer = io.BytesIO()
    shape = pixels.shape[:2] if pixels.size == pixels.shape[0] * pixels.shape[1] else pixels.shape
    Image.fromarray(pixels.reshape(shape)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def encode_pixels(pixels: object, preprocessing: ImagePreprocessing, *, field: str) -> bytes:
    """Nested lists of pixels 0-255, [height][width] or [height][width][channels], as a PNG file.

    Raises:
        InvalidInput: another shape, or values that are not whole numbers from 0 to 255.
    """
    height, width, channels = preprocessing.height, preprocessing.width, preprocessing.channels
    expected = (
        f"pixels [{height}][{width}]" + (f"[{channels}]" if channels > 1 else "") + ", whole numbers 0 to 255"
    )
    try:
        array = np.array(pixels)
    except ValueError as exc:
        raise InvalidInput.at(field, expected, "lists of different lengths") from exc
    if (
        array.dtype.kind not in "iu"
        or array.size != height * width * channels
        or array.shape[:2] != (height, width)
    ):
        got = (
            f"{array.dtype.name} of shape {list(array.shape)}"
            if array.dtype.kind in "iufb"
            else "other values"
        )
        raise InvalidInput.at(field, expected, got)
    if array.min() < 0 or array.max() > 255:
        raise InvalidInput.at(field, expected, f"values from {array.min()} to {array.max()}")
    return as_png(array.reshape(height, width, channels).astype(np.uint8))


def thumbnail(data: bytes, *, max_side: int, max_pixels: int) -> bytes:
    """The image, encoded anew as a PNG that fits in a square of `max_side` pixels: nothing of the bytes survives.

    Raises:
        InvalidInput, TooLarge: as `check_image`.
    """
    with opened(data, field="image", max_pixels=max_pixels) as image:
        image.draft(None, (max_side, max_side))
        small = flat(upright(image), "L" if image.mode in {"1", "L", "LA", "I", "I;16"} else "RGB")
    small.thumbnail((max_side, max_side))
    return as_png(np.asarray(small))


def _has_bright_corners(pixels: np.ndarray) -> bool:
    corners = pixels[_CORNERS]
    return bool(np.count_nonzero(corners > 127) * 2 > corners.size)
