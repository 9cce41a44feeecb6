"""Has Pillow read a BMP of few colours in its own depth: it takes black and white for 1 bit a pixel."""

from __future__ import annotations

_COLOURS = slice(46, 50)
"""Where a header of 40 bytes or more says how many colours the palette has."""
_LONG_HEADER = 40


def bits_of(data: bytes) -> int:
    """Bits of a pixel."""
    return int.from_bytes(data[28:30] if _header_bytes(data) >= _LONG_HEADER else data[24:26], "little")


def colours_of(data: bytes) -> int | None:
    """How many colours the palette has, where the header says it; None: as many as the bits can name."""
    return int.from_bytes(data[_COLOURS], "little") or None if _header_bytes(data) >= _LONG_HEADER else None


def in_its_depth(data: bytes) -> bytes:
    """The same picture; of a palette of one or two colours it says that it is full: what is behind them is not used."""
    colours = int.from_bytes(data[_COLOURS], "little")
    if _header_bytes(data) < _LONG_HEADER or bits_of(data) not in {4, 8} or colours not in {1, 2}:
        return data
    return data[: _COLOURS.start] + bytes(4) + data[_COLOURS.stop :]


def _header_bytes(data: bytes) -> int:
    return int.from_bytes(data[14:18], "little")
