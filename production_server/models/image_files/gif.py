"""Counts the blocks before a GIF's first picture: Pillow keeps what is in them."""

from __future__ import annotations

from production_server.models.image_files.unusable import damaged

MOST_BLOCKS = 50_000
"""Of comments, metadata and the like, with the parts of up to 255 bytes that they have. A long XMP has some hundred."""
HEADER_BYTES = 13
_EXTENSION, _PICTURE = 0x21, 0x2C
"""What a block begins with."""
_HAS_TABLE, _TABLE_BITS = 0x80, 7


def with_few_blocks(data: bytes) -> bytes:
    """The same bytes.

    Raises:
        Unusable: there are more blocks before the first picture than any program writes, or none.
    """
    first_picture(data)
    return data


def first_picture(data: bytes) -> int:
    """Where the block of the first picture begins.

    Raises:
        Unusable: there are more blocks before it than any program writes, or there is none.
    """
    place = HEADER_BYTES + 3 * (table_of(data[10]) or 0) if len(data) > HEADER_BYTES else len(data)
    blocks = 0
    while blocks <= MOST_BLOCKS:
        kind = data[place : place + 1]
        if not kind:
            raise damaged("a GIF without a picture")
        if kind[0] == _PICTURE:
            return place
        place += 1
        blocks += 1
        if kind[0] == _EXTENSION:
            place += 1
            while place < len(data) and data[place] and blocks <= MOST_BLOCKS:
                place += 1 + data[place]
                blocks += 1
            place += 1
    raise damaged(f"a GIF of more than {MOST_BLOCKS} blocks before its first picture")


def table_of(flags: int) -> int | None:
    """How many colours a palette has, as the flags in front of it say; None: there is none."""
    return 2 << (flags & _TABLE_BITS) if flags & _HAS_TABLE else None
