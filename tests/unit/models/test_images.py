from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from production_server.errors import InvalidInput, TooLarge
from production_server.models.images import check_image, encode_pixels, thumbnail
from production_server.models.manifest import ImagePreprocessing
from testing.image_files import chunk, decode_image, with_chunks

GREY = ImagePreprocessing(mode="L", width=4, height=4, scale=1.0)
AUTO = ImagePreprocessing(mode="L", width=4, height=4, scale=1.0, invert="auto")
RGB = ImagePreprocessing(mode="RGB", width=2, height=2, scale=2.0, offset=-1.0)
LIMIT = 1_000_000


def file_of(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(value: int, size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new("L", size, value)


def check(data: bytes) -> None:
    check_image(data, field="file", max_pixels=LIMIT)


def code_of(data: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        check(data)
    assert [fault.field for fault in caught.value.faults] == ["file"]
    return caught.value.code


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG whose header says that it is huge and which holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "PPM"])
def test_common_formats_are_taken(kind: str) -> None:
    data = file_of(grey(100), kind)

    check(data)

    assert decode_image(data, GREY, max_pixels=LIMIT) == pytest.approx(np.full((4, 4, 1), 100.0), abs=2)


def test_bytes_that_are_no_image_are_refused() -> None:
    assert code_of(b"") == "empty_file"
    assert code_of(b"hello, this is text") == "not_an_image"
    assert code_of(b"%PDF-1.7\n" + bytes(500)) == "not_an_image"
    assert code_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "not_an_image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8))
    data = file_of(noise, kind)

    assert code_of(data[: len(data) // 2]) == "damaged_image"


def test_a_huge_image_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(TooLarge) as caught:
        check_image(png_that_claims(20_000, 20_000), field="file", max_pixels=50_000_000)
    assert caught.value.code == "image_too_large"

    with pytest.raises(TooLarge, match="1001 × 1000"):
        check(png_that_claims(1001, 1000))


def test_pixels_become_what_the_manifest_says() -> None:
    image = Image.new("RGB", (2, 2), (0, 128, 255))

    assert decode_image(file_of(image), RGB, max_pixels=LIMIT)[0, 0].tolist() == [-1.0, 255.0, 509.0]
    assert decode_image(file_of(image), RGB, max_pixels=LIMIT).dtype == np.float32


def test_an_image_is_resized_and_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held turned by 90 degrees
    sideways = Image.new("L", (80, 40), 0)
    sideways.paste(255, (0, 0, 40, 40))

    pixels = decode_image(file_of(sideways, "JPEG", exif=exif), GREY, max_pixels=LIMIT)

    assert pixels.shape == (4, 4, 1)
    assert pixels[0].min() > 200
    assert pixels[3].max() < 55


def test_an_image_with_damaged_exif_data_is_classified_and_shown() -> None:
    entries = struct.pack("<HHII", 0x0106, 12, 1, 38) + struct.pack("<HHII", 0x0112, 3, 1, 6)
    exif = b"Exif\0\0" + b"II*\0\x08\0\0\0\x02\0" + entries + b"\0\0\0\0" + struct.pack("<d", 1.5)
    data = file_of(grey(200), "JPEG", exif=exif)

    check(data)

    assert decode_image(data, GREY, max_pixels=LIMIT).min() > 190
    assert thumbnail(data, max_side=4, max_pixels=LIMIT).startswith(b"\x89PNG")


def test_a_png_with_good_checksums_and_rubbish_for_pixels_is_not_classified_as_black() -> None:
    whole = file_of(grey(200))
    start = whole.index(b"IDAT")
    length = struct.unpack(">I", whole[start - 4 : start])[0]
    rubbish = b"IDAT" + bytes(length)
    data = whole[:start] + rubbish + struct.pack(">I", zlib.crc32(rubbish)) + whole[start + 8 + length :]

    for read in (
        lambda: decode_image(data, GREY, max_pixels=LIMIT),
        lambda: thumbnail(data, max_side=9, max_pixels=LIMIT),
    ):
        with pytest.raises(InvalidInput) as caught:
            read()
        assert caught.value.code == "damaged_image"


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 0, 255))

    pixels = decode_image(file_of(clear), GREY, max_pixels=LIMIT)

    assert (pixels[0, 0, 0], sorted(set(pixels.flat))) == (0, [0, 255])


def test_a_text_of_gigabytes_in_a_png_takes_no_memory() -> None:
    bomb = zlib.compress(bytes(256 * 2**20), 9)
    texts = (
        (b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0"), (b"zTXt", b"Raw profile type exif\0\0"),
    )  # fmt: skip
    data = with_chunks(file_of(grey(9)), *(chunk(name, start + bomb) for name, start in texts))
    tracemalloc.start()

    check(data)
    pixels = decode_image(data, GREY, max_pixels=LIMIT)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most_bytes < 4 * len(data) < 16 * 2**20
    assert (pixels == 9).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("level", [1, 255])
def test_one_pixel_anywhere_is_something_to_be_seen(mode: str, level: int) -> None:
    whole = Image.new(mode, (700, 300))
    whole.putpixel((699, 299), (*[0] * (len(mode) - 1), level))

    check(file_of(whole))

    assert code_of(file_of(Image.new(mode, (700, 300)))) == "unsupported_image"


def test_a_gif_that_claims_a_huge_picture_takes_no_memory() -> None:
    disposal = b"\x21\xf9\x04" + bytes([2 << 2, 0, 0, 0]) + b"\0"
    picture = b"," + struct.pack("<HHHHB", 0, 0, 9_000, 9_000, 0) + b"\x02\x01\0\0;"
    data = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0, 0, 0) + disposal + picture
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory so far is forgotten
    before = most_memory_bytes()

    assert code_of(data) == "image_too_large"

    assert most_memory_bytes() - before < 20 * 2**20


def most_memory_bytes() -> int:
    """What this process had of the machine's memory at most."""
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (0, 0, 0, 51)), ("LA", (0, 51))])
def test_what_is_half_transparent_is_mixed_with_white(mode: str, colour: tuple[int, ...]) -> None:
    veil = file_of(Image.new(mode, (40, 40), colour))

    pixels = decode_image(veil, GREY, max_pixels=LIMIT)

    assert (pixels.min(), pixels.max()) == (204, 204)


@pytest.mark.parametrize("size", [(100_000, 1), (1, 100_000)])
def test_an_image_of_one_line_is_resized_like_any_other(size: tuple[int, int]) -> None:
    pixels = decode_image(file_of(grey(200, size)), GREY, max_pixels=LIMIT)

    assert (pixels.min(), pixels.max()) == (200, 200)


def test_sixteen_bit_images_keep_their_brightness() -> None:
    image = Image.fromarray(np.full((4, 4), 0x8000, np.uint16))

    assert decode_image(file_of(image), GREY, max_pixels=LIMIT).max() == 128


def test_an_image_on_white_is_inverted_where_the_model_wants_black() -> None:
    drawing = Image.new("L", (16, 16), 255)
    drawing.paste(0, (4, 4, 12, 12))
    spec = ImagePreprocessing(mode="L", width=16, height=16, scale=1.0, invert="auto")
    pixels = decode_image(file_of(drawing), spec, max_pixels=LIMIT)
    assert (pixels[0, 0, 0], pixels[8, 8, 0]) == (0, 255)
    assert (
        decode_image(file_of(drawing), spec.model_copy(update={"invert": "never"}), max_pixels=LIMIT)[0, 0, 0]
        == 255
    )


def test_pixels_from_json_are_stored_as_an_image_that_decodes_to_them() -> None:
    pixels = np.arange(16).reshape(4, 4).tolist()

    data = encode_pixels(pixels, GREY, field="inputs[0]")

    assert decode_image(data, GREY, max_pixels=LIMIT)[..., 0].tolist() == pixels


@pytest.mark.parametrize(
    "pixels",
    [
        [[1, 2], [3]],
        [[0] * 4] * 3,
        [[0.5] * 4] * 4,
        [[256] * 4] * 4,
        [[-1] * 4] * 4,
        [["a"] * 4] * 4,
        [[None] * 4] * 4,
        [],
    ],
)
def test_pixels_of_another_shape_or_kind_are_refused(pixels: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        encode_pixels(pixels, GREY, field="inputs[0]")

    assert caught.value.faults[0].field == "inputs[0]"


def test_a_thumbnail_is_a_small_png_made_anew() -> None:
    data = file_of(Image.new("RGB", (400, 200), (9, 8, 7)), "JPEG", comment=b"<script>")

    small = thumbnail(data, max_side=96, max_pixels=LIMIT)

    assert Image.open(io.BytesIO(small)).size == (96, 48)
    assert b"script" not in small


@given(
    st.binary(max_size=300),
    st.sampled_from(
        [
            b"",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"BM",
            b"\xff\xd8\xff\xe0",
            b"P5 4 4 255 ",
            b"RIFF\x20\0\0\0WEBPVP8 ",
        ]
    ),
)
def test_hostile_bytes_are_never_more_than_refused(data: bytes, magic: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        check(magic + data)
