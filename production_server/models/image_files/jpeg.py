"""Counts what makes a small JPEG dear: segments, which Pillow keeps, and scans, each of which goes over all pixels."""

from __future__ import annotations

import re

from production_server.models.image_files.unusable import damaged

MOST_SEGMENTS = 5_000
"""Before the pixels. Cameras write some ten, with profiles and depths some hundred; 20 MB of empty ones take 700 MB."""
MOST_SCANNED_PIXELS = 2 * 10**9
"""Forty scans of 50 million pixels. Programs write some ten; another scan of 59 bytes costs as much as the first."""
MOST_FILLING_BYTES = 2**16
"""Between segments, where any number may stand: Pillow reads them one by one, at half a second for a megabyte."""
_SCAN = b"\xff\xda"
_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
_PIXELS = 0xDA
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}


def with_few_segments(data: bytes) -> bytes:
    """The same bytes.

    Raises:
        Unusable: there are more segments before the pixels, or more between them, than any program writes.
    """
    place, filling = 2, 0
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, place)
        if found is None or found[1][0] == _PIXELS:
            return data
        filling += found.end() - place
        if filling > MOST_FILLING_BYTES:
            raise damaged(f"a JPEG with more than {MOST_FILLING_BYTES} bytes between its segments")
        place = found.end()
        if found[1][0] not in _WITHOUT_LENGTH:
            place += max(2, int.from_bytes(data[place : place + 2]))
    raise damaged(f"a JPEG of more than {MOST_SEGMENTS} segments before its pixels")


def check_scans(data: bytes, *, pixels: int) -> None:
    """Whether a picture of so many pixels is not written over and over.

    Raises:
        Unusable: it is.
    """
    scans = data.count(_SCAN)
    if scans * pixels > MOST_SCANNED_PIXELS:
        raise damaged(f"a JPEG of {pixels} pixels that writes them in {scans} scans")
