"""Small plain PNGs are read without Pillow's reader: the same pixels, and what is damaged is refused alike."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from production_server.errors import CeleriacError, Unavailable
from production_server.models.decoding import decoding_until
from production_server.models.image_files.flat import flat, upright
from production_server.models.image_files.opened import opened
from production_server.models.image_files.plain import MOST_BYTES, MOST_SAMPLES, plain_png
from production_server.models.images import check_image, open_picture
from production_server.models.manifest import ImageMode
from testing.image_files import COLOURS, GREY, RGB, SHADES, chunk, png, saved, with_chunks

LIMIT = 10_000_000
RNG = np.random.default_rng(19)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read(data: bytes, mode: ImageMode) -> tuple[int, ...] | str:
    """The pixels as they are read, or the code of why they are not."""
    try:
        picture = open_picture(data, mode, field="file", max_pixels=LIMIT)
    except CeleriacError as exc:
        return f"{exc.code}: {exc}"
    return (*picture.size, *picture.tobytes())


def read_by_pillow(data: bytes, mode: ImageMode) -> tuple[int, ...] | str:
    try:
        with opened(data, field="file", max_pixels=LIMIT) as image:
            picture = flat(upright(image), mode)
    except CeleriacError as exc:
        return f"{exc.code}: {exc}"
    return (*picture.size, *picture.tobytes())


def of(
    packed: list[bytes],
    *,
    width: int = 7,
    height: int = 5,
    kind: int = GREY,
    ending: bytes = b"",
    low: bytes = b"\0\0\0",
) -> bytes:
    """A PNG of 8 bits whose pixels are packed already, in as many chunks."""
    header = struct.pack(">IIBB", width, height, 8, kind) + low
    pixels = b"".join(chunk(b"IDAT", each) for each in packed)
    return SIGNATURE + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"") + ending


def rows(width: int, height: int, channels: int) -> bytes:
    """Noise, with each of the five filters in turn."""
    return b"".join(bytes([row % 5]) + RNG.bytes(width * channels) for row in range(height))


PACKED = zlib.compress(rows(7, 5, 1))


@pytest.mark.parametrize("pixels", [SHADES, COLOURS, RNG.integers(0, 256, (61, 53, 3), np.uint8)], ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_plain_pngs_are_read_as_by_pillow(pixels: NDArray[np.uint8], mode: ImageMode) -> None:
    data = saved(pixels)

    assert plain_png(data, max_pixels=LIMIT) is not None
    assert read(data, mode) == read_by_pillow(data, mode)


@pytest.mark.parametrize(("kind", "channels"), [(GREY, 1), (RGB, 3)])
@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_each_filter_and_each_way_of_packing_gives_the_same_pixels(
    kind: int, channels: int, level: int, piece: int
) -> None:
    packed = zlib.compress(rows(40, 11, channels), level)
    parts = [packed[at : at + piece] for at in range(0, len(packed), piece)]
    data = of([b"", *parts, b""], width=40, height=11, kind=kind)

    assert plain_png(data, max_pixels=LIMIT) is not None
    assert isinstance(read(data, "RGB"), tuple)
    assert read(data, "RGB") == read_by_pillow(data, "RGB")


@pytest.mark.parametrize("at", range(len(PACKED)))
def test_damaged_pixels_are_found_as_by_pillow_wherever_they_are(at: int) -> None:
    for value in (0, 1, 0x55, 0xFF):
        changed = PACKED[:at] + bytes([PACKED[at] ^ value]) + PACKED[at + 1 :]
        for packed in ([changed], [changed[:at], changed[at:]], [changed[:at]], [changed[at:]]):
            data = of(packed)
            assert read(data, "L") == read_by_pillow(data, "L"), (value, packed)


def test_a_file_of_three_chunks_is_read_as_by_pillow_whatever_byte_of_it_is_changed() -> None:
    data = of([PACKED])

    for at in range(len(SIGNATURE), len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert read(changed, "L") == read_by_pillow(changed, "L"), at
        assert read(data[:at], "L") == read_by_pillow(data[:at], "L"), at


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0",
        rows(7, 4, 1),
        rows(7, 5, 1)[:-1],
        rows(7, 6, 1),
        rows(7, 5, 1) + b"\0",
        b"\x05" + bytes(7 * 8 + 4),
    ],
)
def test_too_few_rows_too_many_and_unknown_filters_are_as_with_pillow(raw: bytes) -> None:
    packed = zlib.compress(raw)

    for data in (
        of([packed]),
        of([packed + b"beyond"]),
        of([packed, b"beyond"]),
        of([packed[:-4]]),
        of([packed[:-1]]),
    ):
        assert read(data, "L") == read_by_pillow(data, "L")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(16, GREY, SHADES.astype(int)), id="16 bits"),
        pytest.param(with_chunks(saved(SHADES), chunk(b"tRNS", b"\0\0")), id="transparent"),
        pytest.param(with_chunks(saved(COLOURS), chunk(b"PLTE", bytes(6))), id="palette"),
        pytest.param(with_chunks(saved(COLOURS), chunk(b"eXIf", b"II*\0")), id="orientation"),
        pytest.param(with_chunks(saved(COLOURS), chunk(b"ABCD", b"")), id="unknown"),
        pytest.param(of([PACKED], low=b"\0\0\1"), id="interlaced"),
        pytest.param(of([PACKED], low=b"\0\1\0"), id="filters"),
        pytest.param(of([PACKED], low=b"\1\0\0"), id="compression"),
        pytest.param(of([PACKED], width=0), id="no pixels"),
        pytest.param(of([PACKED], width=MOST_SAMPLES + 1, height=1), id="many pixels"),
        pytest.param(of([bytes(MOST_BYTES)]), id="many bytes"),
        pytest.param(of([PACKED])[:-1], id="cut off"),
        pytest.param(of([PACKED]).replace(b"IDAT", b"IDAR"), id="changed"),
        pytest.param(of([]), id="nothing"),
    ],
)
def test_others_are_left_to_pillow(data: bytes) -> None:
    plain = plain_png(data, max_pixels=LIMIT)

    assert plain is None or plain.decode() is None
    assert read(data, "RGB") == read_by_pillow(data, "RGB")


def test_what_is_no_pixel_keeps_no_png_from_being_plain() -> None:
    data = with_chunks(
        saved(SHADES), chunk(b"tEXt", b"a\0b"), chunk(b"gAMA", b"\0\0\0\1"), chunk(b"iCCP", b"damaged")
    )

    assert plain_png(data, max_pixels=LIMIT) is not None
    assert read(data, "L") == read(saved(SHADES), "L")


def test_a_plain_png_has_no_more_pixels_than_are_allowed() -> None:
    assert plain_png(saved(SHADES), max_pixels=SHADES.size) is not None
    assert plain_png(saved(SHADES), max_pixels=SHADES.size - 1) is None


def test_plain_pngs_are_not_looked_at_for_longer_than_others() -> None:
    with decoding_until(time.monotonic()):
        with pytest.raises(Unavailable, match="no time left"):
            check_image(saved(SHADES), field="file", max_pixels=LIMIT)
        with pytest.raises(Unavailable, match="no time left"):
            open_picture(saved(SHADES), "L", field="file", max_pixels=LIMIT)
