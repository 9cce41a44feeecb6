"""Image files: hostile bytes from outside, checked before they are decoded, then made into a runner's tensor."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from production_server.errors import InvalidInput, TooLarge
from production_server.models.manifest import ImagePreprocessing
from production_server.models.memory import MemoryBudget

MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "PPM": "image/x-portable-anymap",
}
_SYNONYMS = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/x-portable-graymap": "image/x-portable-anymap",
    "image/x-portable-pixmap": "image/x-portable-anymap",
    "image/x-portable-bitmap": "image/x-portable-anymap",
}
_DECODING = MemoryBudget(400 * 2**20)
"""The process's: 2 kB of WebP can take 800 MB, and a service with many threads decodes as many files at once."""
_BYTES_PER_PIXEL = {"WEBP": 16}
_BYTES_PER_PIXEL_AT_MOST = 11
"""Measured, with all copies that `decode_image` makes: PNG with transparency 10.5, progressive JPEG 7."""
_CORNERS = np.ix_([0, 1, -2, -1], [0, 1, -2, -1])
_EXPECTED = "an image file (PNG, JPEG, GIF, WebP, BMP or PNM)"
# What Pillow's decoders raise on damaged data depends on the format.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error)
# EXIF 2.32, section 4.6.4: what has to be done to an image of each orientation to turn it upright.
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_image(data: bytes, *, field: str, max_pixels: int, declared_type: str | None = None) -> None:
    """Check that `data` is one whole image within the limit; its size is known before any pixel is decoded.

    Raises:
        TooLarge: it has more than `max_pixels` pixels (code `image_too_large`).
        InvalidInput: it is empty, not an image, cut off or damaged, or `declared_type` (a media type beginning with
            image/) says that it is another format. Codes `empty_file`, `not_an_image`, `damaged_image`,
            `media_type_mismatch`.
    """
    with _opened(data, field, max_pixels) as image:
        found = MEDIA_TYPES[image.format or ""]
        declared = _SYNONYMS.get(declared_type or "", declared_type or "")
        if declared.startswith("image/") and declared != found:
            raise InvalidInput.at(field, f"{declared} as declared", found, code="media_type_mismatch")
        if image.format == "PNG":
            # Every chunk of a PNG has a checksum, and the last one says that it is whole: no pixel need be decoded.
            image.verify()
        else:
            # At a reduced scale a JPEG is read to its end for a fraction of the decoding cost; others ignore this.
            image.draft(None, (32, 32))
            image.load()


def decode_image(data: bytes, preprocessing: ImagePreprocessing, *, max_pixels: int) -> np.ndarray:
    """An image file as float32 [height, width, channels], scaled as the manifest says.

    Turns it upright (EXIF), lays transparency on white, resizes bilinearly to the model's size.

    Raises:
        InvalidInput, TooLarge: as `check_image`.
    """
    size = (preprocessing.width, preprocessing.height)
    with _opened(data, "image", max_pixels) as image:
        flat = _flatten(_upright(image), preprocessing.mode)
        # The gap keeps the memory for an image of 50,000,000 × 1 from growing with its side, and big photos quick.
        resized = (
            flat if flat.size == size else flat.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
        )
    pixels = np.asarray(resized, dtype=np.uint8).reshape(size[1], size[0], preprocessing.channels)
    if preprocessing.invert == "auto" and _has_bright_corners(pixels):
        pixels = 255 - pixels
    return pixels.astype(np.float32) * np.float32(preprocessing.scale) + np.float32(preprocessing.offset)


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
    shape = (height, width) if channels == 1 else (height, width, channels)
    buffer = io.BytesIO()
    Image.fromarray(array.reshape(shape).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def thumbnail(data: bytes, *, max_side: int, max_pixels: int) -> bytes:
    """The image, encoded anew as a PNG that fits in a square of `max_side` pixels: nothing of the bytes survives.

    Raises:
        InvalidInput, TooLarge: as `check_image`.
    """
    with _opened(data, "image", max_pixels) as image:
        image.draft(None, (max_side, max_side))
        small = _upright(image)
        small.thumbnail((max_side, max_side))
        buffer = io.BytesIO()
        _flatten(small, "L" if small.mode in ("1", "L", "LA", "I;16") else "RGB").save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def _opened(data: bytes, field: str, max_pixels: int) -> Iterator[Image.Image]:
    """The image, opened lazily and within the limit; Pillow's errors become this package's."""
    if not data:
        raise InvalidInput.at(field, _EXPECTED, "an empty file", code="empty_file")
    try:
        with Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES)) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(field, max_pixels, f"{image.width} × {image.height}")
            per_pixel = _BYTES_PER_PIXEL.get(image.format or "", _BYTES_PER_PIXEL_AT_MOST)
            with _DECODING.take(image.width * image.height * per_pixel):
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _too_large(field, max_pixels, "far more") from exc
    except UnidentifiedImageError as exc:
        raise InvalidInput.at(field, _EXPECTED, "other bytes", code="not_an_image") from exc
    except _DAMAGE as exc:
        raise InvalidInput.at(
            field, "a whole image file", "one that is cut off or damaged", code="damaged_image"
        ) from exc


def _upright(image: Image.Image) -> Image.Image:
    """The image, turned as its EXIF data says; damaged EXIF data says nothing, the pixels are whole all the same.

    `ImageOps.exif_transpose` also writes that data anew, and fails when cameras or editors wrote it wrongly.
    """
    # Before the EXIF data is read: that loads the pixels of a PNG, and damaged ones must be told from damaged EXIF.
    image.load()
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except (*_DAMAGE, TypeError):
        turn = None
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert(mode)
    image = image.convert("RGBA")
    # In the mode that is wanted: two more images in RGBA would be 400 MB where 50 million pixels are allowed.
    flat = Image.new(mode, image.size, "white")
    flat.paste(image.convert(mode), mask=image.getchannel("A"))
    return flat


def _has_bright_corners(pixels: np.ndarray) -> bool:
    corners = pixels[_CORNERS]
    return bool(np.count_nonzero(corners > 127) * 2 > corners.size)


def _too_large(field: str, max_pixels: int, got: str) -> TooLarge:
    return TooLarge.at(field, f"at most {max_pixels} pixels", got, code="image_too_large")
