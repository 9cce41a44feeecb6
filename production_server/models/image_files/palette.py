"""Whether every pixel of a picture with a palette has a colour in it: Pillow makes black, or a grey, of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL.GifImagePlugin import GifImageFile

from production_server.models.image_files import bmp, gif
from production_server.models.image_files.unusable import damaged

if TYPE_CHECKING:
    from PIL import Image

    from production_server.models.image_files.formats import Format

_DEPTH = 24
"""Where a PNG says how many bits a pixel has."""


def check_palette(image: Image.Image, kind: Format, data: bytes) -> None:
    """Decode a picture whose palette has fewer colours than its pixels can name, and look at these.

    Raises:
        Unusable: a pixel's colour is not in the palette.
    """
    colours = _colours(image, kind, data)
    if colours is None:
        return
    # The colour that a GIF calls transparent is not seen, so that it needs no place in the palette.
    clear = image.info.get("transparency") if isinstance(image, GifImageFile) else None
    beyond = [
        colour
        for colour, count in enumerate(image.histogram())
        if count and colour >= colours and colour != clear
    ]
    if beyond:
        raise damaged(f"a {kind} with the colour {beyond[-1]}, beyond its palette of {colours}")


def _colours(image: Image.Image, kind: Format, data: bytes) -> int | None:
    """How many colours the palette has; None: there is none, or one for all that a pixel can be."""
    if image.mode not in {"P", "L"}:
        return None
    colours: int | None
    if kind == "PNG" and image.mode == "P":
        colours, most = _colours_of_png(data), 2 ** data[_DEPTH]
    elif kind == "GIF":
        colours, most = _colours_of_gif(data), 256
    elif kind == "BMP":
        colours, most = bmp.colours_of(data), 2 ** bmp.bits_of(data)
    else:
        return None
    return None if colours is None or colours >= most else colours


def _colours_of_png(data: bytes) -> int:
    """Of one whose chunks were checked: there is a palette before the pixels. Of several Pillow takes the last."""
    start, colours = 8, 0
    while (name := data[start + 4 : start + 8]) != b"IDAT":
        length = int.from_bytes(data[start : start + 4])
        colours = length // 3 if name == b"PLTE" else colours
        start += 12 + length
    return colours


def _colours_of_gif(data: bytes) -> int | None:
    """Of the first picture's own palette, else of the file's; None: there is neither."""
    return gif.table_of(data[gif.first_picture(data) + 9]) or gif.table_of(data[10])
