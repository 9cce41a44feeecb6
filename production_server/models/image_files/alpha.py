"""Whether anything of a PNG with an alpha channel is to be seen, mostly known from its first row, without decoding it.

A PNG's filters make zeros of zeros: where a filtered byte of the channel is another value, not all of it is 0.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHANNELS = {4: 2, 6: 4}
"""Of the colour types that have an alpha channel, which is the last one."""
_PIECE_BYTES = 2**16


def is_certain_to_show(data: bytes) -> bool:
    """Whether some pixel of a PNG, whose chunks were checked, is not transparent; False: decode it to know."""
    width, depth, colour_type, is_interlaced = int.from_bytes(data[16:20]), data[24], data[25], data[28]
    if colour_type not in _CHANNELS or is_interlaced:
        return False
    alpha_bytes = depth // 8
    shape = (-1, width, _CHANNELS[colour_type] * alpha_bytes)
    try:
        return any(
            rows[:, 1:].reshape(shape)[..., -alpha_bytes:].any()
            for rows in _rows(data, 1 + width * _CHANNELS[colour_type] * alpha_bytes)
        )
    except zlib.error:
        return False


def _rows(data: bytes, row_bytes: int) -> Iterator[np.ndarray]:
    """The rows as they are filtered, some at once: uint8 [rows, row_bytes]; the first byte of each says how."""
    unpacking = zlib.decompressobj()
    rest = b""
    for packed in _packed(data):
        left: bytes | memoryview = packed
        while left:
            rest += unpacking.decompress(left, max(_PIECE_BYTES, row_bytes))
            left = unpacking.unconsumed_tail
            whole = len(rest) // row_bytes * row_bytes
            yield np.frombuffer(rest, np.uint8, whole).reshape(-1, row_bytes)
            rest = rest[whole:]


def _packed(data: bytes) -> Iterator[memoryview]:
    view, start = memoryview(data), 8
    while (name := data[start + 4 : start + 8]) != b"IEND":
        end = start + 12 + int.from_bytes(view[start : start + 4])
        if name == b"IDAT":
            yield view[start + 8 : end - 4]
        start = end
