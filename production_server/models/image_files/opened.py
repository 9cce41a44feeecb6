"""Opens image files within limits; what is wrong with one is an error of this package, whatever Pillow raised."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.WebPImagePlugin import WebPImageFile

from production_server.errors import InvalidInput, TooLarge
from production_server.models.decoding import room_for
from production_server.models.image_files import bmp, gif, jpeg, pnm
from production_server.models.image_files.formats import Format, format_of
from production_server.models.image_files.palette import check_palette
from production_server.models.image_files.png import pixels_only, tell_transparent
from production_server.models.image_files.unusable import Unusable, damaged

_BYTES_PER_PIXEL: dict[Format, int] = {"PNG": 9, "JPEG": 8, "GIF": 6, "WebP": 12, "BMP": 9, "PNM": 6}
_BYTES_PER_PIXEL_AT_MOST = 12
"""Measured, with all copies that decoding makes; the last one is of a JPEG that is progressive, or in CMYK."""
_SHARE_OF_PIXELS: dict[Format, int] = {"WebP": 2}
"""One of this many pixels takes as much memory as others of twice as many."""
_PREPARED: dict[Format, Callable[[bytes], bytes]] = {
    "PNG": pixels_only,
    "JPEG": jpeg.with_few_segments,
    "GIF": gif.with_few_blocks,
    "BMP": bmp.in_its_depth,
    "PNM": pnm.plain_without_comments,
}


class _Jpeg(JpegImageFile):
    """Without the resolution, for which Pillow reads EXIF data, and warns of damaged ones."""

    def _read_dpi_from_exif(self) -> None:
        pass


class _Gif(GifImageFile):
    """Without what an animation does after its first picture: Pillow would make room for that, however large it is."""

    @property
    def disposal_method(self) -> int:
        return 0

    @disposal_method.setter
    def disposal_method(self, _value: int) -> None:
        pass


class _WebP(WebPImageFile):
    """Without the canvases of an animation, which take as much as all the rest, once its first picture is decoded."""

    def _get_next(self) -> Any:
        found = super()._get_next()
        self._decoder = None
        return found


# Its own classes, not Image.open: that makes an MPO of a JPEG with more pictures behind the first, which it may refuse.
_READERS: dict[Format, type[ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": _Jpeg,
    "GIF": _Gif,
    "WebP": _WebP,
    "BMP": BmpImageFile,
    "PNM": PpmImageFile,
}
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16"})
"""What the readers are known to make; what each of these means is held by a test."""
# What Pillow's decoders raise on damaged data depends on the format.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
)


@contextmanager
def opened(data: bytes, *, field: str, max_pixels: int) -> Iterator[Image.Image]:
    """The picture in a file, the first one where there are several; its pixels are decoded when they are asked for.

    Raises:
        TooLarge: it has more than `max_pixels` pixels (code `image_too_large`).
        Unavailable: there is no memory to decode it in, or no time (code `overloaded`).
        InvalidInput: it is none that is taken (`empty_file`, `not_an_image`, `unsupported_image`), or is not whole
            (`damaged_image`); `field` is named. So is what the block finds, as `Unusable` or as an error of Pillow's.
    """
    kind: Format | None = None
    try:
        kind = format_of(data)
        content = _PREPARED[kind](data) if kind in _PREPARED else data
        with _READERS[kind](io.BytesIO(content)) as image:
            pixels, most = image.width * image.height, max_pixels // _SHARE_OF_PIXELS.get(kind, 1)
            if pixels > most:
                raise _too_large(field, most, f"{image.width} × {image.height}")
            if kind == "JPEG":
                jpeg.check_scans(content, pixels=pixels)
            _check_colours(image, content)
            with room_for(pixels * _bytes_per_pixel(image, kind)):
                yield pnm.scaled(image, content) if isinstance(image, PpmImageFile) else image
                check_palette(image, kind, data)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _too_large(field, max_pixels, "far more") from exc
    except Unusable as exc:
        raise InvalidInput.at(field, exc.expected, exc.got, code=exc.code) from exc
    except _DAMAGE as exc:
        found = _told(kind, data, exc)
        raise InvalidInput.at(field, found.expected, found.got, code=found.code) from exc


def _bytes_per_pixel(image: ImageFile, kind: Format) -> int:
    is_dear = kind == "JPEG" and ("progressive" in image.info or image.mode == "CMYK")
    return _BYTES_PER_PIXEL_AT_MOST if is_dear else _BYTES_PER_PIXEL[kind]


def _check_colours(image: ImageFile, content: bytes) -> None:
    """Refuse a picture whose colours, or what of it is transparent, are not certain.

    Raises:
        Unusable: they are not.
    """
    doubt = _doubt_of(image, content)
    if doubt is not None:
        raise Unusable("unsupported_image", expected="an image whose colours are certain", got=doubt)
    if isinstance(image, PngImageFile):
        tell_transparent(image, content)


def _doubt_of(image: ImageFile, content: bytes) -> str | None:
    """What makes a picture's colours uncertain, where they can be read in two ways or in one that nobody has tried."""
    if image.mode not in _MODES:
        return f"one of Pillow's mode {image.mode}"
    if isinstance(image, JpegImageFile) and image.mode == "CMYK" and "adobe" not in image.info:
        # Adobe's are inverted and say whose they are; of others some are, some are not.
        return "a CMYK JPEG without Adobe's mark (APP14)"
    if isinstance(image, GifImageFile) and "transparency" not in image.info:
        is_covered = image.tile[0].extents == (0, 0, *image.size)
        return None if is_covered else "a GIF whose first picture leaves a part of it open"
    if isinstance(image, BmpImageFile) and image.mode in {"1", "L"}:
        bits = bmp.bits_of(content)
        return None if bits == {"1": 1, "L": 8}[image.mode] else f"a BMP of {bits} bits and few greys"
    return None


def _told(kind: Format | None, data: bytes, exc: Exception) -> Unusable:
    """What an error of Pillow's says of a file of that format."""
    reason = str(exc)
    if reason.startswith(("Unsupported", "cannot handle")):
        got = f"one with: {reason[:100]}"
        return Unusable("unsupported_image", expected=f"a {kind} of a common variant", got=got)
    if kind == "JPEG" and b"\xff\xda" not in data and b"\xff\xd9" in data:
        return damaged("a JPEG without a picture before its end mark (FF D9)")
    if kind == "JPEG" and b"\xff\xd9" not in data[data.rfind(b"\xff\xda") :]:
        return damaged("a JPEG without its end mark (FF D9): it is cut off, or its writer left the mark out")
    if kind == "WebP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        return damaged("a WebP that is cut off")
    return damaged(f"a {kind} that is cut off or damaged")


def _too_large(field: str, max_pixels: int, got: str) -> TooLarge:
    return TooLarge.at(field, f"at most {max_pixels} pixels", got, code="image_too_large")
