"""A folder whose files have names that nobody expects: one of them fails by itself, and the scan goes on."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from testing.celeriac import celeriac
from testing.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from testing.celeriac import Celeriac
    from testing.neighbours import Seen

# A name is of 255 bytes at most where files lie on disks; a path may be of 4,096.
DEEP = b"/".join([b"d" * 150] * 2)
DEEPEST = b"/".join([b"d" * 200] * 15)
READABLE = [
    b"plain.png",
    b"a" * 251 + b".png",
    DEEP + b"/of 300 characters and more.png",
    "schön ☃ 图.png".encode(),
    b"%2e%2e%2f.png",
    b"percent%.png",
    b"a?b#c.png",
    b"back\\slash.png",
    b"new\nline.png",
    b"\x1b[31mred.png",
    b" spaces .png",
    b"-rf.png",
    b"<script>.png",
    b"'; DROP TABLE item; --.png",
]
UNUSABLE = [
    b"caf\xe9.png",
    b"\xff\xfe.png",
    b"\xed\xa0\x80.png",
    b"cut \xe2\x98.png",
    b"a" * 200 + b"\xe9.png",
    b"\xe9/inside.png",
    DEEPEST + b"/too long.png",
]


@pytest.fixture(scope="module")
def mode() -> str:
    """One mode is enough: what names are is decided before the database or the broker hears of them."""
    return "embedded-sqlite"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names") / "photos"
    for name in (*READABLE, *UNUSABLE):
        write_deep(os.fsencode(folder) + b"/" + name, picture())
    return folder


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), 7).save(buffer, "PNG")
    return buffer.getvalue()


def write_deep(path: bytes, data: bytes) -> None:
    directory, _, _ = path.rpartition(b"/")
    os.makedirs(directory, exist_ok=True)  # noqa: PTH103  # a Path knows no bytes
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(data)


@pytest.fixture(scope="module")
def service(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    with celeriac(tmp_path_factory.mktemp("abused"), STORAGE_ALLOW=f"file://{folder}") as running:
        yield running
        assert "Traceback" not in running.log


def scanned(service: Celeriac, url: str) -> dict[str, Any]:
    """A scan that is over, with its job."""
    asked = {"url": url, "model": "fashion_mnist", "pattern": "*.png", "again": True}
    told = service.web.post("/api/scans", json=asked)
    assert told.status_code == 202, told.text
    path = f"/api/scans/{told.json()['id']}"

    def is_over() -> bool:
        return bool(service.web.get(path).json()["job"]["state"] == "finished")

    wait_until(is_over, what="the scan is over", timeout_s=60)
    scan: dict[str, Any] = service.web.get(path).json()
    return scan


def test_names_that_nobody_expects(
    service: Celeriac, folder: Path, neighbours: Callable[[], AbstractContextManager[Seen]]
) -> None:
    with neighbours():
        scan = scanned(service, f"file://{folder}/")
    results = service.web.get(f"/api/jobs/{scan['id']}/results.json").json()["results"]
    failed = [each["error"]["code"] for each in results if each["error"]]

    assert (scan["state"], scan["error"]) == ("listed", None)
    assert scan["job"]["succeeded"] == len(READABLE)
    assert failed == ["object_name_unusable"] * len(UNUSABLE)


@pytest.mark.parametrize("path", ["results", "results.csv", "results.json", "events"])
def test_what_they_are_called_is_shown_everywhere(service: Celeriac, folder: Path, path: str) -> None:
    scan = scanned(service, f"file://{folder}/")

    assert service.web.get(f"/api/jobs/{scan['id']}/{path}").status_code == 200
    for page in (f"/predictions/{scan['id']}", "/results", "/stats", "/api/results", "/api/results.csv"):
        assert service.web.get(page).status_code == 200


@pytest.mark.parametrize(
    "name", ["x" * 300, "x" * 5000, "%ff", "%00", "..%2f..%2fetc", "caf%E9", "\ud800", "a\0b"]
)
def test_a_place_that_is_none_is_refused_or_empty(service: Celeriac, folder: Path, name: str) -> None:
    asked = {"url": f"file://{folder}/{name}", "model": "fashion_mnist"}

    # Escapes may stand for what is no character.
    body = json.dumps(asked).encode()
    told = service.web.post("/api/scans", content=body, headers={"Content-Type": "application/json"})

    assert told.status_code in {202, 400}, told.text
