"""How a camera was held, as EXIF data tell it. Damaged data tell nothing: the pixels are whole all the same."""

from __future__ import annotations

import struct

from PIL.Image import Transpose

_PREFIX = b"Exif\0\0"
_ORIENTATION = 0x0112
_KINDS = {1: "B", 3: "H", 4: "I"}
"""Of numbers in EXIF data; the standard wants the second."""
# EXIF 2.32, section 4.6.4: what has to be done to an image of each orientation to turn it upright.
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def turn_of(exif: bytes) -> Transpose | None:
    """What turns an image with these EXIF data upright; None: it is, or they do not say.

    Pillow's reader, which wants all of them whole, warns of some damage and raises for other.
    """
    # Some writers put a JPEG's prefix into a PNG as well, and Pillow puts it in front of what a PNG has.
    tiff = exif.removeprefix(_PREFIX).removeprefix(_PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        return _TURNS.get(_orientation(tiff, order))
    except struct.error:
        return None


def _orientation(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, start)
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
        if tag == _ORIENTATION and kind in _KINDS:
            return int(struct.unpack_from(order + _KINDS[kind], tiff, place + 8)[0])
    return 1
