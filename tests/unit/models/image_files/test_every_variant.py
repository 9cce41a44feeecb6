"""Format × mode × depth × alpha × orientation: each file is read as the 8-bit PNG of it is, or refused with the reason.

The picture is 4 × 3 fields of one colour each, whose values every depth can tell; a JPEG keeps them within its fields.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from production_server.models.images import check_image, read_pixels, thumbnail
from production_server.models.manifest import ImageMode, ImagePreprocessing
from testing.image_files import (
    BLACK_OR_WHITE,
    COLOURS,
    FIELD,
    GREY,
    GREY_ALPHA,
    INDEXES,
    NOISE,
    PALETTE,
    PALETTE_OF_IT,
    RGB,
    RGB_ALPHA,
    SHADES,
    VEIL,
    bmp,
    chunk,
    exif_of,
    png,
    saved,
    turned,
    with_chunks,
)

Pixels = NDArray[Any]

LIMIT = 100_000


@dataclass(frozen=True)
class Variant:
    """A file, and the upright picture in it: [height, width] or [height, width, 3]."""

    name: str
    data: bytes
    picture: Pixels
    step: int = 1
    """The file's own loss: of its depth, or of its compression."""


def on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    share = alpha.astype(float) / 255
    share = share[..., None] if pixels.ndim == 3 else share
    return np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8)


def cleared(pixels: Pixels, is_clear: Pixels) -> Pixels:
    """The picture with white where it is transparent."""
    return np.where(is_clear[..., None] if pixels.ndim == 3 else is_clear, 255, pixels).astype(np.uint8)


def pngs() -> Iterator[Variant]:
    """Every colour type in every depth, with and without transparency, whole rows or interlaced."""
    for interlaced in (False, True):
        way = " interlaced" if interlaced else ""
        for depth in (1, 2, 4, 8, 16):
            shades = BLACK_OR_WHITE if depth == 1 else SHADES
            most = 2**depth - 1
            rows = shades.astype(int) * most // 255
            clear = int(rows[0, 2 * FIELD])
            as_chunk = chunk(b"tRNS", struct.pack(">H", clear))
            yield Variant(f"png grey {depth}{way}", png(depth, GREY, rows, interlaced=interlaced), shades)
            yield Variant(
                f"png grey {depth} tRNS{way}",
                png(depth, GREY, rows, before=as_chunk, interlaced=interlaced),
                cleared(shades, rows == clear),
            )
        for depth in (1, 2, 4, 8):
            size = 2**depth
            indexes = INDEXES % min(size, len(PALETTE_OF_IT))
            colours = PALETTE_OF_IT[: min(size, len(PALETTE_OF_IT))]
            plte = chunk(b"PLTE", colours.tobytes())
            alphas = np.array([0, 85, 170, 255] * 3, np.uint8)[: len(colours)]
            for name, trns in (("", None), (" one clear", b"\xff\0"), (" alphas", alphas[:3].tobytes())):
                before = plte if trns is None else plte + chunk(b"tRNS", trns)
                alpha = np.full(len(colours), 255, np.uint8)
                alpha[: len(trns or b"")] = list((trns or b"")[: len(colours)])
                yield Variant(
                    f"png palette {depth}{name}{way}",
                    png(depth, PALETTE, indexes, before=before, interlaced=interlaced),
                    on_white(colours[indexes], alpha[indexes]),
                )
        clear_colour = chunk(b"tRNS", struct.pack(">HHH", *map(int, COLOURS[0, 0])))
        yield Variant(f"png rgb 8{way}", png(8, RGB, COLOURS, interlaced=interlaced), COLOURS)
        yield Variant(
            f"png rgb 8 tRNS{way}",
            png(8, RGB, COLOURS, before=clear_colour, interlaced=interlaced),
            cleared(COLOURS, (COLOURS[0, 0] == COLOURS).all(axis=2)),
        )
        for depth in (8, 16):
            step = (2**depth - 1) // 255
            grey_alpha = np.stack([SHADES, VEIL], axis=2).astype(int) * step
            colour_alpha = np.dstack([COLOURS, VEIL]).astype(int) * step
            yield Variant(
                f"png grey alpha {depth}{way}",
                png(depth, GREY_ALPHA, grey_alpha, interlaced=interlaced),
                on_white(SHADES, VEIL),
            )
            yield Variant(
                f"png rgb alpha {depth}{way}",
                png(depth, RGB_ALPHA, colour_alpha, interlaced=interlaced),
                on_white(COLOURS, VEIL),
            )
        yield Variant(
            f"png rgb 16{way}", png(16, RGB, COLOURS.astype(int) * 257, interlaced=interlaced), COLOURS
        )


def odd_pngs() -> Iterator[Variant]:
    """What else may stand in a PNG, or be wrong in it, and is no pixel."""
    fine = (SHADES.astype(int) << 8) | NOISE
    yield Variant("png grey 16, low bits noisy", png(16, GREY, fine), SHADES)
    clear = int(fine[0, 2 * FIELD])
    yield Variant(
        "png grey 16 tRNS, others with its high bits",
        png(16, GREY, fine, before=chunk(b"tRNS", struct.pack(">H", clear))),
        cleared(SHADES, fine == clear),
    )
    plain = png(8, RGB, COLOURS)
    bomb = zlib.compress(bytes(64 * 2**20))
    texts = {
        "tEXt": b"Comment\0hello",
        "zTXt": b"Comment\0\0" + zlib.compress(b"a" * 2_000_000),
        "iTXt": b"Comment\0\1\0\0\0" + bomb,
        "iCCP": b"profile\0\0" + bomb,
        "eXIf": b"II*\0 no EXIF",
        "tIME": b"\0",
        "gAMA": b"",
        "acTL": b"\0",
        "fcTL": b"\0",
        "prIv": b"private",
    }
    for name, text in texts.items():
        for is_right in (True, False):
            how = "right" if is_right else "wrong"
            extra = chunk(name.encode(), text, is_right=is_right)
            yield Variant(f"png with {name}, checksum {how}", with_chunks(plain, extra), COLOURS)
            yield Variant(
                f"png with {name} at its end, checksum {how}", png(8, RGB, COLOURS, after=extra), COLOURS
            )
    halves = plain[:-12], plain[-12:]
    yield Variant("png with bytes behind its end", plain + b"more", COLOURS)
    yield Variant("png with an empty IDAT", halves[0] + chunk(b"IDAT", b"") + halves[1], COLOURS)
    yield Variant(
        "png rgb with a suggested palette", png(8, RGB, COLOURS, before=chunk(b"PLTE", bytes(30))), COLOURS
    )
    frames = [Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1])]
    yield Variant("apng", saved(frames[0], save_all=True, append_images=frames[1:]), COLOURS)
    yield Variant(
        "apng whose default picture is no part of it",
        saved(frames[0], save_all=True, append_images=frames[1:], default_image=True),
        COLOURS,
    )


def pnms() -> Iterator[Variant]:
    """Plain and raw, in every depth that cameras and scanners write."""
    size = b"%d %d" % SHADES.shape[::-1]
    bits = np.where(BLACK_OR_WHITE > 0, 0, 1).astype(np.uint8)
    plain_bits = b"\n".join(b" ".join(b"%d" % each for each in row) for row in bits)
    yield Variant("pbm plain, commented", b"P1\n#a\n" + size + b"\n#b\n" + plain_bits + b"#c", BLACK_OR_WHITE)
    yield Variant("pbm plain", b"P1\n" + size + b"\n" + plain_bits, BLACK_OR_WHITE)
    yield Variant("pbm", b"P4 " + size + b"\n" + np.packbits(bits, axis=1).tobytes(), BLACK_OR_WHITE)
    for white in (3, 15, 100, 255, 1023, 4095, 65535):
        for magic, pixels in ((b"25", SHADES), (b"36", COLOURS)):
            values = np.rint(pixels.astype(float) * white / 255).astype(int)
            picture = np.rint(values * 255.0 / white).astype(np.uint8)
            text = b" ".join(b"%d" % each for each in values.reshape(-1))
            raw = values.astype(">u2" if white > 255 else "u1").tobytes()
            head = b"\n# a comment\n" + size + b"\n%d\n" % white
            for sign, content in zip(magic, (text, raw), strict=True):
                yield Variant(f"pnm P{sign:c} to {white}", b"P%c" % sign + head + content, picture)
    said = b"# " + b"a long comment " * 60
    yield Variant(
        "pgm with a long comment", b"P5\n" + said + b"\n" + size + b"\n255\n" + SHADES.tobytes(), SHADES
    )
    yield Variant("pgm with a second picture", (b"P5 " + size + b" 255\n" + SHADES.tobytes()) * 2, SHADES)


def bmps() -> Iterator[Variant]:
    """Every depth, with every header, from below and from above, and what stands in a fourth byte."""
    black_white = [(0, 0, 0), (255, 255, 255)]
    ramp = [(each,) * 3 for each in range(256)]
    palette = [(int(r), int(g), int(b)) for r, g, b in PALETTE_OF_IT]
    bits = (BLACK_OR_WHITE > 0).astype(int)
    for header in (12, 40, 56, 108, 124):
        full = palette + [(0, 0, 0)] * (16 - len(palette))
        yield Variant(
            f"bmp 1, header {header}", bmp(1, bits, colours=black_white, header_bytes=header), BLACK_OR_WHITE
        )
        yield Variant(f"bmp 4, header {header}", bmp(4, INDEXES, colours=full, header_bytes=header), COLOURS)
        yield Variant(f"bmp 8, header {header}", bmp(8, SHADES, colours=ramp, header_bytes=header), SHADES)
        packed = COLOURS.astype(int) @ [2**16, 2**8, 1]
        yield Variant(f"bmp 24, header {header}", bmp(24, packed, header_bytes=header), COLOURS)
        for name, fourth in (("0", 0), ("255", 255), ("noise", NOISE)):
            yield Variant(
                f"bmp 32, header {header}, fourth byte {name}",
                bmp(32, packed + (np.asarray(fourth) << 24), header_bytes=header),
                COLOURS,
            )
    packed = COLOURS.astype(int) @ [2**16, 2**8, 1]
    yield Variant("bmp 24 from above", bmp(24, packed, is_top_down=True), COLOURS)
    yield Variant("bmp 1, white first", bmp(1, 1 - bits, colours=black_white[::-1]), BLACK_OR_WHITE)
    yield Variant("bmp 4 of 2 colours", bmp(4, bits, colours=black_white), BLACK_OR_WHITE)
    yield Variant("bmp 8 of 2 colours", bmp(8, bits, colours=black_white), BLACK_OR_WHITE)
    yield Variant("bmp 8 of few colours", bmp(8, INDEXES, colours=palette), COLOURS)
    yield Variant("bmp 8 as Pillow writes it", saved(Image.fromarray(COLOURS).quantize(), "BMP"), COLOURS)
    runs = bmp_runs(SHADES)
    yield Variant("bmp 8 in runs", bmp(8, SHADES, colours=ramp, compression=1, packed=runs), SHADES)
    runs = bmp_runs(bits)
    yield Variant(
        "bmp 8 of 2 colours in runs",
        bmp(8, bits, colours=black_white, compression=1, packed=runs),
        BLACK_OR_WHITE,
    )
    fives = (COLOURS >> 3).astype(int)
    sixes = (COLOURS[..., 1] >> 2).astype(int)
    yield Variant("bmp 16", bmp(16, fives @ [2**10, 2**5, 1]), COLOURS, step=8)
    rgb565 = fives[..., 0] * 2**11 + sixes * 2**5 + fives[..., 2]
    yield Variant("bmp 16 565", bmp(16, rgb565, masks=(0xF800, 0x7E0, 0x1F)), COLOURS, step=8)
    masks = (0xFF0000, 0xFF00, 0xFF)
    veiled = packed + (VEIL.astype(int) << 24)
    yield Variant("bmp 32 masks", bmp(32, veiled, masks=masks), COLOURS)
    yield Variant(
        "bmp 32 alpha", bmp(32, veiled, masks=(*masks, 0xFF000000), header_bytes=56), on_white(COLOURS, VEIL)
    )


def bmp_runs(pixels: Pixels) -> bytes:
    """Pixels of 8 bits as a BMP packs them: how often, which; after each row 0, 0; at the end 0, 1."""
    rows = (b"".join(b"%c%c" % (FIELD, value) for value in row[::FIELD]) for row in pixels[::-1])
    return b"\0\0".join(rows) + b"\0\1"


def gifs() -> Iterator[Variant]:
    """Of an animation the first picture."""
    image = Image.fromarray(COLOURS).quantize()
    other = Image.fromarray(np.ascontiguousarray(COLOURS[::-1])).quantize()
    index = image.getpixel((0, 0))
    is_clear = (COLOURS[0, 0] == COLOURS).all(axis=2)
    yield Variant("gif", saved(image, "GIF"), COLOURS)
    yield Variant("gif grey", saved(SHADES, "GIF"), SHADES)
    yield Variant("gif interlaced", saved(image, "GIF", interlace=1), COLOURS)
    yield Variant("gif clear", saved(image, "GIF", transparency=index), cleared(COLOURS, is_clear))
    yield Variant("gif grey clear", saved(SHADES, "GIF", transparency=85), cleared(SHADES, SHADES == 85))
    yield Variant("gif animated", saved(image, "GIF", save_all=True, append_images=[other]), COLOURS)
    clear = saved(image, "GIF", transparency=index, save_all=True, append_images=[other], disposal=2)
    yield Variant("gif animated clear", clear, cleared(COLOURS, is_clear))
    table = saved(image, "GIF")
    start = 13 + 3 * (2 << (table[10] & 7))
    place = table.index(b",", start)
    own = table[:10] + bytes([table[10] & 0x7F]) + table[11:13] + table[start : place + 9]
    own += bytes([0x80 | table[place + 9] | table[10] & 7]) + table[13:start] + table[place + 10 :]
    yield Variant("gif with a palette of its picture", own, COLOURS)
    yield Variant("gif without its end mark", saved(image, "GIF")[:-1], COLOURS)


def webps() -> Iterator[Variant]:
    rgba = Image.fromarray(np.dstack([COLOURS, VEIL]))
    frames = {"save_all": True, "append_images": [Image.fromarray(np.ascontiguousarray(COLOURS[::-1]))]}
    yield Variant("webp", saved(COLOURS, "WEBP", lossless=True), COLOURS)
    yield Variant("webp grey", saved(SHADES, "WEBP", lossless=True), SHADES)
    yield Variant("webp lossy", saved(SHADES, "WEBP", quality=95), SHADES, step=24)
    yield Variant("webp alpha", saved(rgba, "WEBP", lossless=True, exact=True), on_white(COLOURS, VEIL))
    yield Variant("webp animated", saved(COLOURS, "WEBP", lossless=True, **frames), COLOURS)
    yield Variant(
        "webp animated alpha",
        saved(rgba, "WEBP", lossless=True, exact=True, **frames),
        on_white(COLOURS, VEIL),
    )


def jpegs() -> Iterator[Variant]:
    cmyk = Image.fromarray(COLOURS).convert("CMYK")
    good: dict[str, Any] = {"quality": 95, "subsampling": 0}
    other = Image.fromarray(np.ascontiguousarray(COLOURS[::-1]))
    yield Variant("jpeg", saved(COLOURS, "JPEG", **good), COLOURS, step=8)
    yield Variant("jpeg grey", saved(SHADES, "JPEG", **good), SHADES, step=8)
    yield Variant("jpeg progressive", saved(COLOURS, "JPEG", progressive=True, **good), COLOURS, step=8)
    yield Variant("jpeg rgb", saved(COLOURS, "JPEG", keep_rgb=True, **good), COLOURS, step=8)
    yield Variant(
        "jpeg subsampled",
        saved(np.stack([SHADES] * 3, axis=2), "JPEG", quality=95, subsampling=2),
        SHADES,
        step=8,
    )
    yield Variant("jpeg with bytes behind its end", saved(COLOURS, "JPEG", **good) + b"more", COLOURS, step=8)
    plain = saved(COLOURS, "JPEG", **good)
    comments = b"\xff\xfe\0\x06text" * 3_000 + b"\xff" * 10_000
    yield Variant("jpeg with comments and filling", plain[:2] + comments + plain[2:], COLOURS, step=8)
    yield Variant("jpeg cmyk of Adobe", saved(cmyk, "JPEG", **good), COLOURS, step=16)
    yield Variant("jpeg ycck of Adobe", ycck(COLOURS), COLOURS, step=16)
    two = saved(COLOURS, "MPO", save_all=True, append_images=[other], **good)
    yield Variant("jpeg of two pictures (MPO)", two, COLOURS, step=8)
    yield Variant("jpeg of two pictures, the second cut off", two[:-300], COLOURS, step=8)
    yield Variant(
        "jpeg with a damaged list of pictures", two.replace(b"MPF\0II*\0", b"MPF\0II*\7"), COLOURS, step=8
    )
    for what in (b"\x01\xb0\x04\0", b"\x02\xb0\x07\0"):
        yield Variant(f"mpo without {what.hex()}", two.replace(what, b"\x09\xb0\x04\0", 1), COLOURS, step=8)


def ycck(pixels: Pixels) -> bytes:
    """A JPEG as Photoshop writes it: what Pillow writes for CMYK, marked as YCCK."""
    stored = np.dstack(
        [np.asarray(Image.fromarray(255 - pixels).convert("YCbCr")), np.full(SHADES.shape, 255)]
    )
    data = saved(Image.fromarray((255 - stored).astype(np.uint8), "CMYK"), "JPEG", quality=95, subsampling=0)
    place = data.index(b"Adobe") + 11
    return data[:place] + b"\x02" + data[place + 1 :]


def with_orientation() -> Iterator[Variant]:
    """Every orientation, in every format that can tell it."""
    good: dict[str, Any] = {"quality": 95, "subsampling": 0}
    for orientation in range(1, 9):
        stored = turned(COLOURS, orientation)
        veil = turned(VEIL, orientation)
        for order in "<>":
            exif = exif_of(orientation, order=order)
            told = b"Exif\0\0" + exif
            name = f"{orientation}{order}"
            yield Variant(f"png {name}", with_chunks(png(8, RGB, stored), chunk(b"eXIf", exif)), COLOURS)
            twice = with_chunks(png(8, RGB, stored), chunk(b"eXIf", told))
            yield Variant(f"png {name} with a JPEG's prefix", twice, COLOURS)
            yield Variant(f"png {name} at its end", png(8, RGB, stored, after=chunk(b"eXIf", exif)), COLOURS)
            yield Variant(f"jpeg {name}", saved(stored, "JPEG", exif=told, **good), COLOURS, step=8)
            yield Variant(f"webp {name}", saved(stored, "WEBP", lossless=True, exif=exif), COLOURS)
        alpha = np.dstack([stored, veil])
        yield Variant(
            f"png alpha {orientation}",
            with_chunks(png(8, RGB_ALPHA, alpha), chunk(b"eXIf", exif)),
            on_white(COLOURS, VEIL),
        )
        yield Variant(
            f"png grey 16 {orientation}",
            with_chunks(png(16, GREY, turned(SHADES, orientation).astype(int) * 257), chunk(b"eXIf", exif)),
            SHADES,
        )
        two = {"save_all": True, "append_images": [Image.fromarray(stored[::-1].copy())]}
        yield Variant(f"mpo {orientation}", saved(stored, "MPO", exif=told, **two, **good), COLOURS, step=8)
    plain = exif_of(6)
    damaged = {
        "cut off": plain[:12],
        "empty": b"",
        "of another order": b"XX" + plain[2:],
        "beyond its end": plain[:4] + struct.pack("<I", 4_000_000_000) + plain[8:],
        "of many entries": plain[:8] + b"\xff\xff" + plain[10:10],
        "of no orientation": exif_of(9),
        "of orientation 0": exif_of(0),
        "of text": plain[:12] + b"\2\0" + plain[14:],
    }
    for name, exif in damaged.items():
        yield Variant(
            f"png with EXIF {name}", with_chunks(png(8, RGB, COLOURS), chunk(b"eXIf", exif)), COLOURS
        )
        jpeg = saved(COLOURS, "JPEG", exif=b"Exif\0\0" + exif, **good)
        yield Variant(f"jpeg with EXIF {name}", jpeg, COLOURS, step=8)


MAKERS: tuple[Callable[[], Iterator[Variant]], ...] = (
    pngs, odd_pngs, pnms, bmps, gifs, webps, jpegs, with_orientation,
)  # fmt: skip
TAKEN = [variant for make in MAKERS for variant in make()]


def pixels_of(data: bytes, mode: ImageMode) -> Pixels:
    height, width = SHADES.shape
    spec = ImagePreprocessing(mode=mode, width=width, height=height, scale=1.0)
    return read_pixels(data, spec, max_pixels=LIMIT)


@pytest.mark.parametrize("variant", TAKEN, ids=lambda variant: variant.name)
def test_a_file_is_taken_at_the_door_and_read_as_the_8_bit_png_of_it(variant: Variant) -> None:
    check_image(variant.data, field="file", max_pixels=LIMIT)

    for mode in ("RGB", "L"):
        found = pixels_of(variant.data, mode).astype(int)
        wanted = pixels_of(saved(variant.picture), mode).astype(int)
        assert np.abs(found - wanted).max() <= variant.step, mode
    small = Image.open(io.BytesIO(thumbnail(variant.data, max_side=200, max_pixels=LIMIT)))
    wanted = np.asarray(Image.fromarray(variant.picture).convert("RGB")).astype(int)
    assert np.abs(np.asarray(small.convert("RGB")).astype(int) - wanted).max() <= variant.step
