"""Files that cost far more than their size: images of pixels, scans and blocks that nobody sees, and tables."""

from __future__ import annotations

import base64
import gzip
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from PIL import Image

from testing.image_files import chunk, saved
from testing.neighbours import CALL, HUNG_S, MODEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from testing.celeriac import Celeriac
    from testing.neighbours import Seen

    Neighbours = Callable[[], AbstractContextManager[Seen]]

IMAGES = "fashion_mnist"
IMAGE_CALL = f"/v1/models/{IMAGES}:predict"
SIDE = 7_000
"""49 million pixels: nearly as many as are allowed."""


def white_png(side: int = SIDE) -> bytes:
    """A PNG of 1 bit a pixel: 49 million pixels in 6 kB."""
    rows = zlib.compress((b"\0" + b"\xff" * (side // 8)) * side, 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def scanned_jpeg(scans: int) -> bytes:
    """A progressive JPEG of 16 million pixels, whose last scan comes again and again."""
    whole = saved(Image.new("RGB", (4_000, 4_000)), "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * scans + whole[-2:]


def webp() -> bytes:
    """A WebP of 4 million pixels in some hundred bytes; each process decodes as many at once as fit in 200 MiB."""
    return saved(Image.new("RGB", (2_000, 2_000)), "WEBP", lossless=True)


def plain_pnm() -> bytes:
    """2 MB of comments among the pixels."""
    return b"P3 28 28 255\n" + b"#\n" * 2**20 + b"0 " * 28 * 28 * 3


def backtracking() -> bytes:
    """What a hasty regular expression would take years for."""
    return b"P3 " + b"# " * 500 + b"x"


def gif_of_blocks() -> bytes:
    """2 MB of comments before the picture."""
    whole = saved(Image.new("P", (28, 28)), "GIF")
    picture = whole.rindex(b"\x2c", 0, len(whole) - 4)
    return whole[:picture] + b"\x21\xfe\1a\0" * (2 * 2**20 // 5) + whole[picture:]


MAKERS: dict[str, Callable[[], bytes]] = {
    "a jpeg of 600 scans": lambda: scanned_jpeg(600),
    "a jpeg of as many scans as are read": lambda: scanned_jpeg(110),
    "a png of 49 million pixels": white_png,
    "a webp of 4 million pixels": webp,
    "a pnm of comments": plain_pnm,
    "what begins like a pnm": backtracking,
    "a gif of comments": gif_of_blocks,
}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: make() for name, make in MAKERS.items()}


def upload(service: Celeriac, *images: bytes) -> httpx.Response:
    parts = [("file", (f"{place}.img", data)) for place, data in enumerate(images)]
    return httpx.post(service.url + "/api/jobs", data={"model": IMAGES}, files=parts, timeout=HUNG_S)


def cancel(service: Celeriac, answers: list[httpx.Response]) -> None:
    for answer in answers:
        if answer.status_code == 202:
            httpx.delete(service.url + answer.json()["links"]["self"], timeout=HUNG_S).raise_for_status()


@pytest.mark.parametrize("name", MAKERS)
def test_calls_with_an_image(
    service: Celeriac, neighbours: Neighbours, files: dict[str, bytes], name: str
) -> None:
    body = {"instances": [{"b64": base64.b64encode(files[name]).decode()}] * 4}

    with neighbours(), ThreadPoolExecutor(4) as four:
        answers = list(
            four.map(lambda _: httpx.post(service.url + IMAGE_CALL, json=body, timeout=HUNG_S), range(4))
        )
        time.sleep(0.5)  # some are refused before anybody has asked for anything

    assert {answer.status_code for answer in answers} <= {200, 400, 503, 504}


@pytest.mark.parametrize("name", MAKERS)
def test_18_uploads_at_once(
    service: Celeriac, neighbours: Neighbours, files: dict[str, bytes], name: str
) -> None:
    with neighbours(), ThreadPoolExecutor(18) as many:
        answers = list(many.map(lambda _: upload(service, files[name]), range(18)))
        time.sleep(0.5)
        cancel(service, answers)

    assert {answer.status_code for answer in answers} <= {202, 400, 503}


def test_jobs_of_a_thousand_images_of_49_million_pixels(
    service: Celeriac, neighbours: Neighbours, files: dict[str, bytes]
) -> None:
    with neighbours():
        answers = [upload(service, *[files["a png of 49 million pixels"]] * 500) for _ in range(2)]
        time.sleep(5)
        cancel(service, answers)

    assert {answer.status_code for answer in answers} == {202}


TABLES: dict[str, Callable[[], bytes]] = {
    "a million columns": lambda: b",".join([b"a"] * 2**20) + b"\n",
    "one cell": lambda: b"1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7," + b"9" * 32 * 2**20,
    "a quote that is not closed": lambda: b'1,2,3,4,5,6,7,"8\n' * 2 * 2**20,
    "empty lines": lambda: b"\n" * 32 * 2**20,
    "commas": lambda: b"," * 32 * 2**20,
    "lines of commas": lambda: b",,,,,,,\n" * 4 * 2**20,
    "too many rows": lambda: b"6,148,72,35,0,33.6,0.627,50\n" * 2 * 2**20,
    "long rows": lambda: (b"6,148,72,35,0,33.6,0.627,50" + b" " * 600 + b"\n") * 100_000,
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(service: Celeriac, neighbours: Neighbours, name: str) -> None:
    table = {"csv": ("table.csv", TABLES[name]())}

    with neighbours():
        answer = httpx.post(service.url + "/api/jobs", data={"model": MODEL}, files=table, timeout=HUNG_S)
        time.sleep(0.5)
        cancel(service, [answer])

    assert answer.status_code == (202 if name == "long rows" else answer.status_code)
    assert answer.status_code in {202, 400, 413}


@pytest.mark.parametrize("path", [CALL, "/api/jobs"])
def test_gzip_bombs(service: Celeriac, neighbours: Neighbours, path: str) -> None:
    bomb = gzip.compress(b" " * 3 * 10**8)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}

    with neighbours(), ThreadPoolExecutor(2) as two:
        answers = list(
            two.map(
                lambda _: httpx.post(service.url + path, content=bomb, headers=headers, timeout=HUNG_S),
                range(4),
            )
        )

    assert {answer.status_code for answer in answers} == {413}


def test_a_form_of_90000_tiny_files(service: Celeriac, neighbours: Neighbours) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nb\r\n'
    model = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n' % IMAGES.encode()
    body = model + part * 90_000 + b"--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}

    with neighbours():
        answer = httpx.post(service.url + "/api/jobs", content=body, headers=headers, timeout=HUNG_S)

    assert answer.status_code == 400
