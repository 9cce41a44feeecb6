"""Small PNGs of 8 bits in grey or RGB, with nothing beside their pixels: what data sets are made of.

Of such a file Pillow's reader takes more time than its decoder, and finds what is known from the checked chunks: so
the decoder is called without it. Whatever is not certain here is left to the reader, which also tells what is wrong.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from PIL import Image

from production_server.models.image_files.png import pixels_only
from production_server.models.image_files.unusable import Unusable

MOST_BYTES = 2**16
"""Of larger files the reader's time is not seen, and what is damaged is not to be read twice."""
MOST_SAMPLES = 2**20
"""Numbers in a picture; 64 kB may be unpacked to 64 MB."""
_FIRST = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
_OF_HEADER: dict[bytes, tuple[str, int]] = {b"\x08\0\0\0\0": ("L", 1), b"\x08\x02\0\0\0": ("RGB", 3)}
"""Mode and channels, by depth, colour type, compression, filters and interlacing."""
_HEADER_END = 33
_CHUNK_START = 8
"""Bytes of a chunk before what it holds: its length and its name."""
_LAST = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class PlainPng:
    """A PNG whose chunks were checked. Its pixels may be damaged all the same."""

    mode: str
    size: tuple[int, int]
    packed: bytes

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    def decode(self) -> Image.Image | None:
        """The picture; None where the pixels are damaged, or end too early."""
        try:
            return Image.frombytes(self.mode, self.size, self.packed, "zip", self.mode, 0)
        except ValueError:
            return None


def plain_png(data: bytes, *, max_pixels: int) -> PlainPng | None:
    """The file if it is one of these, and has no more than `max_pixels`; None: ask Pillow's reader."""
    found = _OF_HEADER.get(data[24:29]) if len(data) <= MOST_BYTES and data.startswith(_FIRST) else None
    if found is None:
        return None
    mode, channels = found
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if not 0 < width * height <= min(max_pixels, MOST_SAMPLES // channels):
        return None
    packed = _packed_in_one(data)
    if packed is None:
        try:
            packed = _packed(pixels_only(data))
        except Unusable:
            return None
    return None if packed is None else PlainPng(mode, (width, height), packed)


def _packed_in_one(data: bytes) -> bytes | None:
    """The pixels of a file whose only chunk beside the first and the last one they are, as most writers have it.

    None: it is another one, or damaged. Going through its chunks would take four times as long.
    """
    end = len(data) - len(_LAST)
    size = int.from_bytes(data[_HEADER_END : _HEADER_END + 4])
    if data[_HEADER_END + 4 : _HEADER_END + _CHUNK_START] != b"IDAT" or not data.endswith(_LAST):
        return None
    if _HEADER_END + _CHUNK_START + size + 4 != end:
        return None
    is_whole = _is_right(data, 12, _HEADER_END) and _is_right(data, _HEADER_END + 4, end)
    return data[_HEADER_END + _CHUNK_START : end - 4] if is_whole else None


def _is_right(data: bytes, start: int, end: int) -> bool:
    """Whether a chunk, from its name on, has the checksum that stands at its end."""
    return zlib.crc32(data[start : end - 4]) == int.from_bytes(data[end - 4 : end])


def _packed(content: bytes) -> bytes | None:
    """The pixels as they are packed; None: there is something else in the file that counts."""
    parts: list[bytes] = []
    start = _HEADER_END
    while (name := content[start + 4 : start + 8]) == b"IDAT":
        end = start + 12 + int.from_bytes(content[start : start + 4])
        parts.append(content[start + 8 : end - 4])
        start = end
    return b"".join(parts) if name == b"IEND" else None
