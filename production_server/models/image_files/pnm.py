"""Bounds the header of a PNM, which Pillow reads byte by byte, and scales one whose white is not 255.

Pillow's own decoder for that is a loop in Python that passes over values above it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from production_server.models.image_files.unusable import damaged

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.PpmImagePlugin import PpmImageFile

MOST_HEADER_BYTES = 64 * 2**10
"""With all comments in it."""
_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+[0-9]+"
MOST_COMMENTS = 1_000
"""Among the pixels: cutting one out costs microseconds, in which nothing else of the process runs."""
_COMMENT = re.compile(rb"#[^\r\n]*")
_PLAIN = frozenset({b"1", b"2", b"3"})
_HEADER = re.compile(rb"(?:P[14](?:%b){2}|P[2356](?:%b){3})\s" % (_NUMBER, _NUMBER))


def plain_without_comments(data: bytes) -> bytes:
    """The same picture without comments among its pixels, where its pixels are text (P1, P2, P3).

    Pillow cuts each comment out of all that follows: a megabyte of them would take it hours.

    Raises:
        Unusable: its numbers do not come among the first bytes, or there are more comments than any program writes.
    """
    header = _HEADER.match(data[:MOST_HEADER_BYTES])
    if header is None:
        raise damaged(f"a PNM without width, height and white within its first {MOST_HEADER_BYTES} bytes")
    comments = data.count(b"#", header.end()) if data[1:2] in _PLAIN else 0
    if not comments:
        return data
    if comments > MOST_COMMENTS:
        raise damaged(f"a PNM of more than {MOST_COMMENTS} comments among its pixels")
    return data[: header.end()] + _COMMENT.sub(b"", data[header.end() :])


def scaled(image: PpmImageFile, data: bytes) -> Image.Image:
    """The picture in 8 bits; `image` as it is where Pillow reads it well.

    Raises:
        Unusable: it is cut off, or a value is above its white (maxval).
    """
    ((decoder, _, offset, arguments),) = image.tile
    if decoder != "ppm" or not isinstance(arguments, tuple):
        return image
    white = int(arguments[1])
    shape = (image.height, image.width, 3) if image.mode == "RGB" else (image.height, image.width)
    try:
        values = np.frombuffer(data, ">u2" if white > 255 else "u1", int(np.prod(shape)), offset)
    except ValueError as exc:
        raise damaged("a PNM that is cut off") from exc
    if values.max() > white:
        raise damaged(f"a PNM with the value {values.max()}, above its white of {white}")
    return Image.fromarray(to_8_bits(white)[values].reshape(shape))


def to_8_bits(white: int) -> NDArray[np.uint8]:
    """What each value from 0 to `white` is from 0 to 255."""
    levels: NDArray[np.uint8] = np.rint(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    return levels
