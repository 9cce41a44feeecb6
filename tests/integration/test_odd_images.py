"""One odd file at each door of a running service: an upload, Base64 in a job, both protocols of calls, and a scan."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from testing.celeriac import Celeriac, celeriac
from testing.image_files import GREY, RGB, chunk, png, saved, with_chunks
from testing.processes import wait_until

RAMP = np.kron(np.arange(0, 196, 4).reshape(7, 7), np.ones((4, 4), int))
PLAIN = saved(RAMP.astype(np.uint8))
MODEL = "fashion_mnist"


def taken() -> dict[str, bytes]:
    """Files that hold the same picture."""
    size = b"%d %d" % RAMP.shape[::-1]
    colour = np.stack([RAMP] * 3, axis=2)
    return {
        "plain.png": PLAIN,
        "sixteen.png": png(16, GREY, RAMP * 257),
        "sixteen.pgm": b"P5 " + size + b" 65535\n" + (RAMP * 257).astype(">u2").tobytes(),
        "long-text.png": with_chunks(PLAIN, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)))),
        "bad-text.png": with_chunks(PLAIN, chunk(b"tEXt", b"a\0b", is_right=False)),
        "animated.apng": saved(
            Image.fromarray(colour.astype(np.uint8)),
            save_all=True,
            append_images=[Image.new("RGB", (28, 28), "red")],
        ),
        "webp-named.jpg": saved(colour.astype(np.uint8), "WEBP", lossless=True),
    }


def refused() -> dict[str, tuple[bytes, str]]:
    """Files that are not taken, and the code of the reason."""
    damaged = PLAIN.index(b"IDAT") + 10
    return {
        "empty.png": (b"", "empty_file"),
        "page.png": (b"<!doctype html><title>404</title>", "not_an_image"),
        "scan.tif": (saved(RAMP.astype(np.uint8), "TIFF"), "unsupported_image"),
        "clear.png": (saved(Image.new("RGBA", (28, 28), (9, 9, 9, 0))), "unsupported_image"),
        "two-ways.png": (
            png(16, RGB, np.stack([RAMP * 257] * 3, axis=2), before=chunk(b"tRNS", bytes(6))),
            "unsupported_image",
        ),
        "cut-off.png": (PLAIN[:-20], "damaged_image"),
        "checksum.png": (PLAIN[:damaged] + b"\0\1\2" + PLAIN[damaged + 3 :], "damaged_image"),
        "no-end.jpg": (saved(RAMP.astype(np.uint8), "JPEG")[:-2], "damaged_image"),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd") / "photos"
    folder.mkdir()
    for name, data in (taken() | {name: data for name, (data, _) in refused().items()}).items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Celeriac]:
    with celeriac(folder.parent, STORAGE_ALLOW=f"file://{folder}") as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture(scope="module")
def scanned(service: Celeriac, folder: Path) -> dict[str, dict[str, Any]]:
    """Each item of a scan of the folder, by the file's name."""
    scan = service.web.post("/api/scans", json={"url": f"file://{folder}", "model": MODEL}).json()
    job = f"/api/jobs/{scan['id']}"
    wait_until(lambda: service.web.get(job).json()["state"] == "finished", what="the scan is classified")
    results = service.web.get(f"{job}/results.json").json()["results"]
    return {item["url"].rpartition("/")[2]: item for item in results}


def upload(service: Celeriac, name: str, data: bytes) -> tuple[int, Any]:
    answer = service.web.post(
        "/api/jobs", data={"model": MODEL}, files={"file": (name, data)}, headers={"Prefer": "wait=20"}
    )
    return answer.status_code, answer.json()


def as_json(service: Celeriac, data: bytes) -> tuple[int, Any]:
    body = {"model": MODEL, "inputs": [{"b64": base64.b64encode(data).decode()}]}
    answer = service.web.post("/api/jobs", json=body, headers={"Prefer": "wait=20"})
    return answer.status_code, answer.json()


def predict(service: Celeriac, data: bytes) -> tuple[int, Any]:
    body = {"instances": [{"b64": base64.b64encode(data).decode()}]}
    answer = service.web.post(f"/v1/models/{MODEL}:predict", json=body)
    return answer.status_code, answer.json()


def infer(service: Celeriac, data: bytes) -> tuple[int, Any]:
    encoded = base64.b64encode(data).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [encoded]}
    answer = service.web.post(f"/v2/models/{MODEL}/infer", json={"inputs": [tensor]})
    return answer.status_code, answer.json()


@pytest.mark.parametrize("name", sorted(taken()))
def test_an_odd_file_gets_the_answer_of_the_plain_one_at_every_door(
    service: Celeriac, scanned: dict[str, dict[str, Any]], name: str
) -> None:
    data = taken()[name]
    wanted = predict(service, PLAIN)[1]["predictions"][0]

    found = {
        "upload": upload(service, name, data)[1]["results"][0]["output"],
        "json": as_json(service, data)[1]["results"][0]["output"],
        "v1": predict(service, data)[1]["predictions"][0],
        "v2": next(each for each in infer(service, data)[1]["outputs"] if each["name"] == "probabilities")[
            "data"
        ],
        "scan": scanned[name]["output"],
    }

    for door, answer in found.items():
        assert answer == pytest.approx(wanted, abs=1e-5), door


@pytest.mark.parametrize("name", sorted(refused()))
def test_a_file_that_is_not_taken_is_refused_with_one_code_at_every_door(
    service: Celeriac, scanned: dict[str, dict[str, Any]], name: str
) -> None:
    data, code = refused()[name]

    answers = [
        upload(service, name, data),
        as_json(service, data),
        predict(service, data),
        infer(service, data),
    ]

    assert [(status, body["code"]) for status, body in answers] == [(400, code)] * 4
    assert scanned[name]["error"]["code"] == code


def test_pictures_in_a_picture_are_one_and_its_job_is_not_refused(service: Celeriac) -> None:
    other = Image.new("L", (28, 28), 255)
    two = saved(RAMP.astype(np.uint8), "MPO", save_all=True, append_images=[other], quality=95)
    first = saved(RAMP.astype(np.uint8), "JPEG", quality=95)

    status, body = upload(service, "phone.jpg", two)

    assert struct.unpack(">H", two[:2]) == (0xFFD8,)
    assert (status, body["succeeded"]) == (200, 1)
    wanted = predict(service, first)[1]["predictions"][0]
    assert body["results"][0]["output"] == pytest.approx(wanted, abs=1e-5)
