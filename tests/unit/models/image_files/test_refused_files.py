"""Image files that are not taken, and what is no image: refused with the true cause through every door."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image, features

from production_server.errors import InvalidInput
from production_server.models.images import check_image, read_pixels, thumbnail
from production_server.models.manifest import ImagePreprocessing
from testing.image_files import (
    COLOURS,
    GREY,
    INDEXES,
    PALETTE,
    PALETTE_OF_IT,
    RGB,
    SHADES,
    bmp,
    chunk,
    png,
    saved,
    with_chunks,
)

LIMIT = 100_000


@dataclass(frozen=True)
class Refused:
    """A file that is not taken, its error's code, and words of the reason."""

    name: str
    data: bytes
    code: str
    words: str


def unusual() -> Iterator[Refused]:
    """Images that are not taken: their colours are not certain, or their format is another one."""
    code = "unsupported_image"
    sixteen = png(16, RGB, COLOURS.astype(int) * 257, before=chunk(b"tRNS", bytes(6)))
    yield Refused("png rgb 16 tRNS", sixteen, code, "16 bits a channel with a transparent colour")
    apple = png(8, RGB, COLOURS)
    yield Refused(
        "png of an iPhone's program", apple[:8] + chunk(b"CgBI", bytes(4)) + apple[8:], code, "chunk CgBI"
    )
    clear = np.dstack([COLOURS, np.zeros_like(SHADES)])
    for kind in ("PNG", "WEBP"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        yield Refused(f"{kind} clear all over", saved(clear, kind, **options), code, "transparent all over")
    packed = COLOURS.astype(int) @ [2**16, 2**8, 1]
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield Refused(
        "bmp clear all over", bmp(32, packed, masks=masks, header_bytes=56), code, "transparent all over"
    )
    grey = png(8, GREY, np.full((4, 4), 7), before=chunk(b"tRNS", b"\0\x07"))
    yield Refused("png grey clear all over", grey, code, "transparent all over")
    cmyk = saved(Image.fromarray(COLOURS).convert("CMYK"), "JPEG")
    start = cmyk.index(b"\xff\xee")
    unmarked = cmyk[:start] + cmyk[start + 16 :]
    yield Refused("cmyk that is not Adobe's", unmarked, code, "CMYK JPEG without Adobe's mark")
    jpeg = saved(COLOURS, "JPEG")
    twelve = jpeg.index(b"\xff\xc0") + 4
    yield Refused("jpeg of 12 bits", jpeg[:twelve] + b"\x0c" + jpeg[twelve + 1 :], code, "12-bit")
    gif = bytearray(saved(Image.fromarray(COLOURS).quantize(), "GIF"))
    gif[6:8] = struct.pack("<H", SHADES.shape[1] + 1)
    yield Refused("gif that is partly open", bytes(gif), code, "leaves a part of it open")
    for compression in (4, 5):
        yield Refused(
            f"bmp of {compression}", bmp(24, packed, compression=compression), code, "BMP compression"
        )
    yield Refused("bmp of odd masks", bmp(16, SHADES, masks=(1, 2, 4)), code, "bitfields")
    yield Refused("bmp of 2 bits", bmp(2, SHADES & 3), code, "pixel depth (2)")


def other_formats() -> Iterator[Refused]:
    """Images that people have and the server does not take: the message says which format it is."""
    code = "unsupported_image"
    yield Refused("pfm", saved(Image.fromarray(SHADES.astype(np.float32)), "PPM"), code, "a PFM")
    yield Refused("pam", b"P7\nWIDTH 4\nHEIGHT 4\nDEPTH 4\nMAXVAL 255\nENDHDR\n" + bytes(64), code, "a PAM")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
        yield Refused(f"tiff {mode}", saved(Image.fromarray(COLOURS).convert(mode), "TIFF"), code, "a TIFF")
    for dtype in (np.int32, np.float32, np.uint16):
        yield Refused(f"tiff {dtype.__name__}", saved(SHADES.astype(dtype), "TIFF"), code, "a TIFF")
    yield Refused("tiff LAB", saved(Image.new("LAB", (4, 4)), "TIFF"), code, "a TIFF")
    yield Refused("ico", saved(COLOURS, "ICO"), code, "an ICO")
    for kind, feature, name in (("JPEG2000", "jpg_2000", "a JPEG 2000"), ("AVIF", "avif", "an AVIF")):
        if features.check(feature):
            yield Refused(kind, saved(COLOURS, kind), code, name)
    for brand in (b"heic", b"heix", b"mif1"):
        yield Refused(f"heic {brand!r}", b"\0\0\0\x18ftyp" + brand + bytes(30), code, "a HEIC")
    yield Refused("jpeg xl", b"\xff\x0a" + bytes(30), code, "a JPEG XL")
    yield Refused("psd", b"8BPS\0\1" + bytes(30), code, "a PSD")
    yield Refused("dicom", bytes(128) + b"DICM" + bytes(30), code, "a DICOM")


def no_images() -> Iterator[Refused]:
    code = "not_an_image"
    drawing = b"<?xml version='1.0'?>\n<!-- drawn --><svg xmlns='http://www.w3.org/2000/svg'/>"
    yield Refused("empty", b"", "empty_file", "an empty file")
    yield Refused("svg", drawing, code, "an SVG, which is a drawing")
    yield Refused("pdf", b"%PDF-1.7\n" + bytes(99), code, "a PDF")
    yield Refused("zip", b"PK\x03\x04" + bytes(99), code, "a ZIP archive")
    yield Refused("gzip", b"\x1f\x8b\x08" + bytes(99), code, "a gzip file")
    yield Refused("html", b"\n<!DOCTYPE html>\n<title>404</title>", code, "HTML")
    yield Refused("xml", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", code, "XML")
    yield Refused("video", b"\0\0\0\x18ftypmp42" + bytes(30), code, "a video")
    yield Refused("AppleDouble", b"\0\5\x16\7\0\2\0\0Mac OS X        ", code, "AppleDouble")
    yield Refused("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", code, "Git LFS")
    yield Refused("base64", b"iVBORw0KGgoAAAANSUhEUgAA", code, "Base64")
    yield Refused("data url", b"data:image/png;base64,iVBORw0KGgo", code, "data: URL")
    for text in (b"hello, this is text", b"BMW is a car", b"P5 is a format", b"GIF files", "Grüße".encode()):
        yield Refused(f"text {text!r}", text, code, "got text")
    yield Refused("other", bytes(range(128, 200)), code, "got other bytes")
    yield Refused("zeros", bytes(500), code, "got other bytes")


def damaged() -> Iterator[Refused]:
    """What is cut off, has a wrong checksum or holds what cannot be: each by its name, where a file tells."""
    code = "damaged_image"
    whole = png(8, PALETTE, INDEXES, before=chunk(b"PLTE", PALETTE_OF_IT.tobytes()) + chunk(b"tRNS", b"\x80"))
    for name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
        start = whole.index(name)
        end = start + 4 + struct.unpack(">I", whole[start - 4 : start])[0]
        wrong = whole[:end] + bytes(each ^ 1 for each in whole[end : end + 4]) + whole[end + 4 :]
        words = f"whose {name.decode()} chunk has a wrong checksum"
        yield Refused(f"png, wrong checksum in {name.decode()}", wrong, code, words)
    yield Refused(
        "png cut off in its pixels", whole[: whole.index(b"IDAT") + 20], code, "cut off within its IDAT chunk"
    )
    yield Refused("png without its end", whole[:-12], code, "cut off before its end (IEND)")
    yield Refused("png cut off in its header", whole[:20], code, "cut off within its header")
    yield Refused("png of a signature", whole[:8], code, "cut off within its header")
    yield Refused("png without a palette", png(8, PALETTE, INDEXES), code, "without a palette")
    without = whole[: whole.index(b"IDAT") - 4] + whole[-12:]
    yield Refused("png without pixels", without, code, "without pixels")
    as_text = whole.replace(b"\r\n", b"\n", 1)
    yield Refused("png that was sent as text", as_text, code, "a transfer as text")
    headless = whole[:8] + whole[33:]
    yield Refused("png without a header", headless, code, "does not begin with its header")
    yield Refused("png with two headers", with_chunks(whole, whole[8:33]), code, "two headers")
    lengthened = bytearray(whole)
    lengthened[whole.index(b"PLTE") - 1] += 1
    yield Refused(
        "png with a chunk of a wrong length", bytes(lengthened), code, "PLTE chunk has a wrong checksum"
    )
    yield Refused("png of 3 bits", png(3, GREY, SHADES & 7), code, "a PNG")
    for kind in ("JPEG", "GIF", "WEBP", "BMP", "PPM"):
        data = saved(COLOURS, kind)
        words = {"JPEG": "without its end mark", "WEBP": "a WebP that is cut off"}.get(kind, "cut off")
        yield Refused(f"{kind} cut off", data[: len(data) * 2 // 3], code, words)
    jpeg = saved(COLOURS, "JPEG")
    yield Refused("jpeg without its end mark", jpeg[:-2], code, "without its end mark (FF D9)")
    yield Refused(
        "jpeg with its end mark in the middle of its header", jpeg[:200] + b"\xff\xd9", code, "JPEG"
    )
    for case, empty in (("jpeg", jpeg[: jpeg.index(b"\xff\xda")]), ("short jpeg", b"\xff\xd8")):
        told = "a JPEG without a picture before its end mark (FF D9)"
        yield Refused(f"{case} of an end mark alone", empty + b"\xff\xd9", code, told)
    many = jpeg[:2] + b"\xff\xe1\0\x09Exif\0\0a" * 6_000 + jpeg[2:]
    yield Refused("jpeg of many EXIF data", many, code, "more than 5000 segments before its pixels")
    yield Refused("pgm cut off", b"P5 9 9 100\n" + bytes(80), code, "a PNM that is cut off")
    yield Refused(
        "pgm above its white", b"P5 2 2 100\n\0\1\2\xc8", code, "the value 200, above its white of 100"
    )
    yield Refused("plain pgm above its white", b"P2 2 2 100\n0 1 2 200", code, "PNM")
    yield Refused("pgm without a white", b"P5 2 2 0\n\0\0\0\0", code, "PNM")


def beyond_the_palette() -> Iterator[Refused]:
    """Pixels whose colour is in no palette: what is shown of them differs from program to program."""
    code = "damaged_image"
    index = np.arange(256, dtype=np.uint8).reshape(16, 16)
    few = chunk(b"PLTE", bytes(range(60)))
    for name, extra in (("", b""), (" with a transparent one", chunk(b"tRNS", b"\x80"))):
        data = png(8, PALETTE, index, before=few + extra)
        yield Refused(f"png beyond{name}", data, code, "a PNG with the colour 255, beyond its palette of 20")
    data = png(8, PALETTE, index, before=few, interlaced=True)
    yield Refused("png beyond, interlaced", data, code, "the colour 255, beyond its palette of 20")
    data = png(4, PALETTE, index & 15, before=chunk(b"PLTE", bytes(range(30))))
    yield Refused("png of 4 bits beyond", data, code, "a PNG with the colour 15, beyond its palette of 10")
    data = png(1, PALETTE, index & 1, before=chunk(b"PLTE", b"abc"))
    yield Refused("png of 1 bit beyond", data, code, "a PNG with the colour 1, beyond its palette of 1")
    data = png(8, PALETTE, index, after=few)
    yield Refused("png with its palette at its end", data, code, "a PNG without a palette")
    for name, levels in (("colours", bytes(range(255, -1, -1))), ("greys", bytes(range(256)))):
        image = Image.fromarray(index).convert("P")
        image.putpalette(bytes(each for level in levels for each in (level, level, level)))
        gif = saved(image, "GIF", optimize=False)
        assert gif[10] & 7 == 7
        short = gif[:10] + bytes([gif[10] - 3]) + gif[11 : 13 + 96] + gif[13 + 768 :]
        yield Refused(
            f"gif of {name} beyond", short, code, "a GIF with the colour 255, beyond its palette of 32"
        )
        colours = [(level, level, level) for level in levels]
        words = "a BMP with the colour 255, beyond its palette of 20"
        yield Refused(f"bmp of {name} beyond", bmp(8, index, colours=colours[:20]), code, words)
        words = "a BMP with the colour 255, beyond its palette of 2"
        yield Refused(f"bmp of two {name} beyond", bmp(8, index, colours=colours[:2]), code, words)


def dear() -> Iterator[Refused]:
    """What would cost more than its size tells."""
    code = "damaged_image"
    large = saved(np.zeros((300, 300, 3), np.uint8), "JPEG", progressive=True)
    scans = large[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 23_000 + large[-2:]
    yield Refused("jpeg of many scans", scans, code, "a JPEG of 90000 pixels that writes them in 230")
    for number, before in enumerate((b"P5 9 ", b"P5 9 9 ", b"P6 9#\n", b"P4 9 ")):
        commented = before + b"#" + b"a" * 70_000 + b"\n9 9 255\n" + bytes(81)
        yield Refused(f"pnm of a long comment {number}", commented, code, "first 65536 bytes")
    commented = b"P2 9 9 255\n" + b"#\n" * 1_001 + b"0 " * 81
    yield Refused("pnm of many comments", commented, code, "more than 1000 comments among its pixels")
    jpeg, tiny = saved(COLOURS, "JPEG"), png(8, GREY, SHADES)
    for name, filling in (("0xff", b"\xff"), ("0x00", b"\0")):
        words = "more than 65536 bytes between its segments"
        filled = jpeg[:20] + filling * 70_000 + jpeg[20:]
        yield Refused(f"jpeg filled with {name}", filled, code, words)
    pieces = with_chunks(tiny, *[chunk(b"tEXt", b"a\0b")] * 50_000)
    yield Refused("png of many chunks", pieces, code, "a PNG of more than 50000 chunks")
    gif = saved(Image.fromarray(INDEXES), "GIF")
    first = gif.rindex(b"\x2c", 0, 800) if gif[10] & 0x80 else 13
    for name, filler in (
        ("comments", b"\x21\xfe\1a\0" * 50_000),
        ("parts", b"\x21\xfe" + b"\1a" * 60_000 + b"\0"),
    ):
        many = gif[:13] + gif[13:first] + filler + gif[first:]
        yield Refused(f"gif of many {name}", many, code, "more than 50000 blocks before its first picture")
    yield Refused("gif without a picture", gif[:first] + b";", code, "GIF")
    yield Refused("pnm of spaces and numbers signs", b"P3 " + b"# " * 500 + b"\nx", "not_an_image", "text")
    webp = saved(np.zeros((300, 200, 3), np.uint8), "WEBP", lossless=True)
    yield Refused("webp of half the pixels", webp, "image_too_large", "at most 50000 pixels, got 200 × 300")


REFUSED = [
    each for make in (unusual, other_formats, no_images, damaged, beyond_the_palette, dear) for each in make()
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_a_file_is_refused_everywhere_with_the_same_reason(refused: Refused) -> None:
    spec = ImagePreprocessing(mode="L", width=4, height=4, scale=1.0)
    doors: tuple[Callable[[], object], ...] = (
        lambda: check_image(refused.data, field="image", max_pixels=LIMIT),
        lambda: read_pixels(refused.data, spec, max_pixels=LIMIT),
        lambda: thumbnail(refused.data, max_side=9, max_pixels=LIMIT),
    )
    said = []
    for door in doors:
        with pytest.raises(InvalidInput) as caught:
            door()
        said.append((caught.value.code, str(caught.value)))

    assert said[0][0] == refused.code
    assert refused.words in said[0][1]
    assert said == said[:1] * 3
