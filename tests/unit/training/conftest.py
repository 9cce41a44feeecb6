"""Real files and a real HTTP origin for the training's tests."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from production_server.training.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Transcript(Reporter):
    """A reporter that shows nothing and keeps what was said."""

    def __init__(self) -> None:
        super().__init__(is_quiet=True)
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@dataclass
class Origin:
    """A web server on loopback that serves one file, with byte ranges, and can hang up in the middle."""

    content: bytes
    hang_up_after: int | None = None
    """Bytes of the next answer after which the connection is closed, once."""
    has_ranges: bool = True
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""
    url: str = ""


@pytest.fixture
def origin() -> Iterator[Origin]:
    origin = Origin(np.random.default_rng(5).bytes(300_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, origin)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # http.server's name
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    origin.url = f"http://127.0.0.1:{server.server_port}/data.bin"
    yield origin
    server.shutdown()
    thread.join()
    server.server_close()


def _answer(request: BaseHTTPRequestHandler, origin: Origin) -> None:
    wanted = request.headers.get("Range")
    origin.asked.append(wanted)
    if request.path != "/data.bin":
        request.send_error(404)
        return
    start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and origin.has_ranges else 0
    if start >= len(origin.content):
        request.send_error(416)
        return
    request.send_response(206 if start else 200)
    request.send_header("Content-Length", str(len(origin.content) - start))
    request.end_headers()
    until, origin.hang_up_after = origin.hang_up_after, None
    request.wfile.write(origin.content[start : len(origin.content) if until is None else start + until])


def paint(
    path: Path, colour: tuple[int, int, int], *, seed: int = 0, size: tuple[int, int] = (40, 32)
) -> Path:
    """Write a noisy picture of one colour; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-20, 20, (size[1], size[0], 3))
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 12 red and 12 blue pictures, one folder per class."""
    for index in range(12):
        paint(tmp_path / "photos" / "red" / f"{index:02}.png", (200, 40, 40), seed=index)
        paint(tmp_path / "photos" / "blue" / f"{index:02}.png", (40, 40, 200), seed=index)
    return tmp_path / "photos"
