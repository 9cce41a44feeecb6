"""Reads a PNG chunk by chunk, before Pillow sees it: checksums are compared, and what is no pixel is passed over.

Texts, profiles and times may be damaged, or take gigabytes when they are unpacked: Pillow would refuse the picture.
Source: https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from production_server.models.image_files.unusable import Unusable, damaged

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngImageFile

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PIXELS = _CRITICAL | {b"tRNS"}
_BEFORE_PIXELS = frozenset({b"PLTE", b"tRNS"})
"""Nothing behind the pixels changes them."""
_GREY, _RGB, _PALETTE = 0, 2, 3
"""Colour types."""
MOST_CHUNKS = 50_000
"""A PNG of 400 MB has as many where its pixels are parted as libpng does; each costs microseconds."""
_SMALLEST = 12
"""Bytes of a chunk: its length, its name and its checksum."""


def pixels_only(data: bytes) -> bytes:
    """The same picture without what is neither pixels nor their transparency, nor says how it was turned.

    Of an animation it is the picture that those see who know only PNG.

    Raises:
        Unusable: it is cut off, or a chunk that makes the pixels is damaged, missing or unknown.
    """
    if not data.startswith(_SIGNATURE):
        raise damaged("a PNG whose first 8 bytes were changed, as by a transfer as text")
    view = memoryview(data)
    content: bytearray | None = None  # a copy, once something of the file is left out
    names: set[bytes] = set()
    start, chunks = len(_SIGNATURE), 0
    while b"IEND" not in names:
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise damaged(f"a PNG of more than {MOST_CHUNKS} chunks")
        end = start + _SMALLEST + int.from_bytes(view[start : start + 4])
        name = data[start + 4 : start + 8]
        if end > len(data) or len(name) < 4:
            raise damaged(_cut_off(name, names))
        is_wanted = _is_wanted(name, names, is_right=_has_right_checksum(view[start + 4 : end]))
        if not is_wanted and content is None:
            content = bytearray(view[:start])
        elif is_wanted and content is not None:
            content += view[start:end]
        if is_wanted and name in _CRITICAL:
            names.add(name)
        start = end
    _check_whole(data, names)
    return data if content is None else bytes(content)


def tell_transparent(image: PngImageFile, data: bytes) -> None:
    """Have `image.info` name the transparent colour as Pillow decodes it: the file has it in the file's own depth.

    Raises:
        Unusable: that colour has 16 bits a channel, of which Pillow keeps 8: others might be taken for it.
    """
    depth, colour_type = data[24], data[25]
    clear = image.info.get("transparency")
    if clear is None or colour_type not in {_GREY, _RGB}:
        return
    if depth == 16 and colour_type == _RGB:
        raise Unusable(
            "unsupported_image",
            expected="a PNG of 8 bits a channel, or with an alpha channel",
            got="one of 16 bits a channel with a transparent colour (tRNS)",
        )
    most = 2**depth - 1
    if colour_type == _RGB:
        image.info["transparency"] = tuple(each & most for each in clear)
    elif 1 < depth < 16:  # of 1 bit Pillow has told black from white already
        image.info["transparency"] = (clear & most) * 255 // most


def _check_whole(data: bytes, names: set[bytes]) -> None:
    if b"IDAT" not in names or (data[25] == _PALETTE and b"PLTE" not in names):
        raise damaged(f"a PNG without {'a palette' if b'IDAT' in names else 'pixels'}")


def _is_wanted(name: bytes, before: set[bytes], *, is_right: bool) -> bool:
    """Whether a chunk goes to Pillow.

    Raises:
        Unusable: it makes the pixels, and is damaged, unknown, or not where it belongs.
    """
    if not (name.isascii() and name.isalpha()):
        raise damaged("a PNG with bytes between its chunks, or a chunk of a wrong length")
    if not before and name not in {b"IHDR", b"CgBI"}:
        raise damaged("a PNG that does not begin with its header (IHDR)")
    if name in _PIXELS and not is_right:
        raise damaged(f"a PNG whose {name.decode()} chunk has a wrong checksum")
    if name not in _CRITICAL and name[:1].isupper():
        got = f"one with the chunk {name.decode()}, without which its pixels cannot be understood"
        raise Unusable("unsupported_image", expected="a PNG of the standard's chunks", got=got)
    if name == b"IHDR" and before:
        raise damaged("a PNG with two headers (IHDR)")
    is_late = name in _BEFORE_PIXELS and b"IDAT" in before
    return (name in _PIXELS and not is_late) or (name == b"eXIf" and is_right)


def _has_right_checksum(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[:-4]) == int.from_bytes(chunk[-4:])


def _cut_off(name: bytes, before: set[bytes]) -> str:
    where = f"within its {name.decode()} chunk" if name in _CRITICAL else "before its end (IEND)"
    return f"a PNG that is cut off {where if before else 'within its header (IHDR)'}"
