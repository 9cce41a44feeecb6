"""Counts what stands before the pixels of a JPEG: Pillow keeps each segment, and copies all EXIF data for each."""

from __future__ import annotations

import re

from production_server.models.image_files.unusable import damaged

MOST_SEGMENTS = 5_000
"""Cameras write some ten, with profiles and maps of depth some hundred; 20 MB of empty ones would take 700 MB."""
_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
_PIXELS = 0xDA
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}


def with_few_segments(data: bytes) -> bytes:
    """The same bytes.

    Raises:
        Unusable: there are more segments before the pixels than any program writes.
    """
    place = 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, place)
        if found is None or found[1][0] == _PIXELS:
            return data
        place = found.end()
        if found[1][0] not in _WITHOUT_LENGTH:
            place += max(2, int.from_bytes(data[place : place + 2]))
    raise damaged(f"a JPEG of more than {MOST_SEGMENTS} segments before its pixels")
