"""Image files as people have them, written byte by byte: what Pillow writes is only a part of what it reads."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from production_server.models.images import read_pixels, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from production_server.models.manifest import ImagePreprocessing

    Pixels = NDArray[Any]

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
"""Colour types of a PNG."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of each pass: first column and row, steps in both."""


# The picture of the tests: 4 × 3 fields of one colour each, whose values every depth can tell.
FIELD = 16
LEVELS = np.array([[0, 85, 170, 255], [255, 170, 0, 85], [85, 0, 255, 170]], np.uint8)
SHADES = np.kron(LEVELS, np.ones((FIELD, FIELD), np.uint8))
COLOURS = np.stack([SHADES, SHADES[::-1], SHADES[:, ::-1]], axis=2)
BLACK_OR_WHITE = np.where(SHADES > 127, 255, 0).astype(np.uint8)
VEIL = np.ascontiguousarray(SHADES[:, ::-1])
"""An alpha channel."""
NOISE = np.random.default_rng(1).integers(0, 255, SHADES.shape)
PALETTE_OF_IT = np.unique(COLOURS.reshape(-1, 3), axis=0)
PLACES = np.array([np.flatnonzero((each == PALETTE_OF_IT).all(axis=1))[0] for each in COLOURS.reshape(-1, 3)])
INDEXES = PLACES.reshape(SHADES.shape).astype(np.uint8)


def saved(image: Image.Image | Pixels, kind: str = "PNG", **options: object) -> bytes:
    """An image as Pillow writes it."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes, *, is_right: bool = True) -> bytes:
    """A chunk of a PNG, with a right checksum or not."""
    checksum = zlib.crc32(name + data) ^ (0 if is_right else 1)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def png(
    depth: int,
    colour_type: int,
    pixels: Pixels,
    *,
    before: bytes = b"",
    after: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """A PNG of pixels [height, width(, channels)] in the file's own depth; chunks stand before and after the pixels."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in _ADAM7] if interlaced else [pixels]
    rows = b"".join(_rows(depth, each) for each in passes if each.size)
    middle = before + chunk(b"IDAT", zlib.compress(rows)) + after
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + chunk(b"IEND", b"")


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def bmp(
    bits: int,
    pixels: Pixels,
    *,
    colours: Sequence[tuple[int, int, int]] = (),
    masks: Sequence[int] = (),
    header_bytes: int = 40,
    is_top_down: bool = False,
    compression: int | None = None,
    packed: bytes | None = None,
) -> bytes:
    """A BMP of whole numbers [height, width] as the file has them, `packed` instead where they are compressed."""
    height, width = pixels.shape
    if packed is None:
        rows = [_bmp_row(bits, row) for row in (pixels if is_top_down else pixels[::-1])]
        packed = b"".join(row + bytes(-len(row) % 4) for row in rows)
    palette = b"".join(bytes((b, g, r)) + (b"" if header_bytes == 12 else b"\0") for r, g, b in colours)
    if header_bytes == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        way = compression if compression is not None else (3 if masks else 0)
        high = -height if is_top_down else height
        header = struct.pack(
            "<IiiHHIIiiII", header_bytes, width, high, 1, bits, way, len(packed), 0, 0, len(colours), 0
        )
        header += struct.pack(f"<{len(masks)}I", *masks)
        header = header.ljust(header_bytes, b"\0") if header_bytes > 40 else header
    offset = 14 + len(header) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(packed), 0, 0, offset) + header + palette + packed


def exif_of(orientation: int, *, order: str = "<") -> bytes:
    """EXIF data that say how the camera was held, without what stands before them in a file."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Upright pixels as a camera that was held so stores them (EXIF 2.32, section 4.6.4)."""
    turns = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[::-1],
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels.swapaxes(0, 1)[:, ::-1],
    }
    return np.ascontiguousarray(turns[orientation])


def _rows(depth: int, pixels: Pixels) -> bytes:
    values = pixels.reshape(len(pixels), -1)
    if depth == 16:
        packed = values.astype(">u2").view(np.uint8)
    elif depth == 8:
        packed = values.astype(np.uint8)
    else:
        bits = (values[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        packed = np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def _bmp_row(bits: int, row: Pixels) -> bytes:
    if bits < 8:
        each = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
        return np.packbits(each.reshape(-1).astype(np.uint8)).tobytes()
    return b"".join(int(value).to_bytes(bits // 8, "little") for value in row)


def decode_image(data: bytes, preprocessing: ImagePreprocessing, *, max_pixels: int) -> Pixels:
    """An image file as a model gets it: float32 [height, width, channels]."""
    return scaled(read_pixels(data, preprocessing, max_pixels=max_pixels), preprocessing)
