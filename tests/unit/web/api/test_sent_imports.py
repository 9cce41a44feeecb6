"""Large files of models come by the whole web process: written as they come, once, and only of who may send them."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from production_server.access.key_text import new_key
from production_server.access.keys import create_key
from production_server.access.records import Actor, NewKey
from production_server.access.scopes import Scope
from production_server.jobs.imports import list_imports
from production_server.models.importing import uploads
from production_server.settings import Settings
from production_server.web.app import create_front
from production_server.web.edge.parts import WebParts, build_parts
from production_server.web.edge.sizes import SMALL_BYTES
from testing.asgi_client import Sender
from testing.event_loop import run_apart
from testing.foreign_graphs import FOREIGN_MODELS

MOST_FILE, MOST_BODY, PIECE = 2_000_000, 300_000, 2**16
SOMEBODY = Actor("", "", "", "")
FORM = (b"content-type", b"multipart/form-data; boundary=b")
CHUNKED = (b"transfer-encoding", b"chunked")
HDF5 = b"\x89HDF\r\n\x1a\n"
LARGE = HDF5 + bytes(range(256)) * 6_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, max_body_bytes=MOST_BODY, import_file_bytes=MOST_FILE)


@pytest.fixture
def parts(settings: Settings, furnish: Callable[[Settings], None]) -> Iterator[WebParts]:
    furnish(settings)
    parts = build_parts(settings)
    yield parts
    parts.database.close()


def form(*parts: tuple[str, bytes], end: bytes = b"\r\n--b--\r\n") -> bytes:
    """A form: the parts whose names hold a dot are files."""
    lines = []
    for name, data in parts:
        field, _, kind = name.partition(".")
        file = f'; filename="{name}"' if kind else ""
        lines.append(f'--b\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'.encode() + data)
    return b"\r\n".join(lines) + end


def pieces(data: bytes) -> list[bytes]:
    return [data[start : start + PIECE] for start in range(0, len(data), PIECE)]


def send(parts: WebParts, data: bytes, *headers: tuple[bytes, bytes], path: str = "/api/models") -> Sender:
    client = Sender(path, *pieces(data), headers=[FORM, *headers])
    client.scope["client"] = ("192.0.2.7", 7)
    run_apart(create_front(parts)(client.scope, client.receive, client.send))
    return client


def left_of(parts: WebParts) -> list[Path]:
    return [path for path in (parts.settings.model_stores[-1] / ".imports").rglob("*") if path.is_file()]


def fault_of(told: Sender) -> tuple[int, str, str]:
    body = json.loads(told.sent[1]["body"])
    return told.status, body["code"], (body["faults"] or [{"field": ""}])[0]["field"]


@pytest.mark.parametrize("order", [("name", "file.h5"), ("file.h5", "name")])
@pytest.mark.parametrize("path", ["/api/models", "/imports"])
def test_a_file_that_is_larger_than_any_other_body_comes_in_as_it_was_sent(
    parts: WebParts, order: tuple[str, str], path: str
) -> None:
    data = {"name": b"mine", "file.h5": LARGE}

    told = send(parts, form(*[(name, data[name]) for name in order]), path=path)

    assert told.status == (202 if path == "/api/models" else 303)
    (kept,) = left_of(parts)
    (found,) = list_imports(parts.database, whose=None, limit=9)
    assert kept.read_bytes() == LARGE
    assert kept.relative_to(parts.settings.model_stores[-1]).parts == (
        ".imports",
        str(found.id),
        "model",
        "file.h5",
    )
    assert (found.file, found.needs_tensorflow) == ("file.h5", True)


@pytest.mark.parametrize(
    ("sent", "headers", "expected"),
    [
        (form(("name", b"mine"), ("file.h5", bytes(MOST_FILE + 1))), (), (413, "too_large", "file")),
        (form(("name", b"mine"), ("file.h5", LARGE), end=b""), (), (400, "invalid_input", "form")),
        (form(("name", b"mine"), ("file.h5", LARGE))[:-9], (), (400, "invalid_input", "form")),
        (form(("name", b"mine"), ("file.h5", LARGE), ("file.h5", LARGE)), (), (400, "invalid_input", "file")),
        (form(("name", b"mine"), ("other.h5", LARGE)), (), (400, "invalid_input", "form")),
        (form(("name", b"mine"), ("sample.csv", LARGE)), (), (400, "invalid_input", "file")),
        (form(("name", b"mine"), ("file", LARGE)), (), (400, "invalid_input", "file")),
        (form(("name", b"mine"), ("describe", bytes(2_200_000))), (), (413, "too_large", "form")),
        (form(("name", b"N o"), ("file.h5", LARGE)), (), (400, "invalid_input", "name")),
        (form(("", b"mine"), ("file.h5", LARGE)), (), (400, "invalid_input", "form")),
        (form(("name", b"mine"), ("file.h5", b"x" * 400_000)), (), (400, "invalid_input", "file")),
        (form(*[("labels", b"x")] * 201, ("file.h5", LARGE)), (), (413, "too_large", "form")),
        (
            gzip.compress(form(("name", b"mine"), ("file.h5", LARGE)), 0),
            ((b"content-encoding", b"gzip"),),
            (413, "too_large", ""),
        ),
    ],
)
def test_what_is_wrong_with_a_large_form_is_named_and_nothing_is_kept(
    parts: WebParts, sent: bytes, headers: tuple[tuple[bytes, bytes], ...], expected: tuple[int, str, str]
) -> None:
    assert fault_of(send(parts, sent, *headers)) == expected
    assert not left_of(parts)
    assert not list_imports(parts.database, whose=None, limit=9)


def test_a_file_that_is_said_to_be_too_large_is_refused_before_it_has_come(parts: WebParts) -> None:
    length = str(MOST_FILE + MOST_BODY + 1).encode()

    told = send(parts, form(("name", b"mine"), ("file.h5", LARGE)), (b"content-length", length))

    assert (*fault_of(told)[:2], told.taken) == (413, "too_large", 0)


def test_a_form_of_no_stated_length_ends_where_it_is_too_large(parts: WebParts) -> None:
    sent = form(*[(f"{name}.h5", bytes(1_500_000)) for name in ("file", "sample", "weights")])

    told = send(parts, sent)

    assert fault_of(told)[:2] == (413, "too_large")
    assert told.taken == (MOST_FILE + MOST_BODY) // PIECE + 1
    assert not left_of(parts)


def test_of_a_file_that_is_too_large_no_more_is_received(parts: WebParts) -> None:
    told = send(parts, form(("other.h5", bytes(2_000_000)), ("name", b"mine")))

    assert told.taken <= SMALL_BYTES // PIECE + 2


@pytest.mark.parametrize(
    "path", ["/api/jobs", "/predictions", "/api/models/mine/versions/1/restore", "/api/imports"]
)
def test_no_other_body_may_be_larger_for_it(parts: WebParts, path: str) -> None:
    told = send(parts, form(("name", b"mine"), ("file.h5", LARGE)), path=path)

    assert told.status in {404, 405, 413, 415}
    assert told.taken * PIECE <= MOST_BODY + PIECE


@pytest.mark.parametrize(
    ("scopes", "status"), [(None, 401), ((), 401), ((Scope.READ, Scope.PREDICT), 403), ((Scope.MODELS,), 202)]
)
def test_only_who_may_change_models_gets_so_far(
    parts: WebParts, scopes: tuple[Scope, ...] | None, status: int
) -> None:
    wanted = NewKey(name="a", client="a", scopes=frozenset(scopes or (Scope.READ,)))
    _, text = create_key(parts.database, wanted, by=SOMEBODY)
    text = text if scopes else new_key()
    headers = [] if scopes is None else [(b"authorization", b"Bearer " + text.encode())]

    told = send(parts, form(("name", b"mine"), ("file.h5", LARGE)), *headers)

    assert told.status == status
    if status != 202:
        assert told.taken <= SMALL_BYTES // PIECE + 1
        assert not left_of(parts)


def test_a_full_disk_is_told_and_nothing_is_left(parts: WebParts, monkeypatch: pytest.MonkeyPatch) -> None:
    real = uploads.IncomingFile.write

    class Full:
        def __init__(self, file: Any) -> None:
            self._file, self._left = file, 500_000

        def write(self, data: memoryview) -> int:
            if self._left < len(data):
                raise OSError(errno.ENOSPC, "No space left on device")
            self._left -= len(data)
            return int(self._file.write(data))

        def close(self) -> None:
            self._file.close()

    def write(file: Any, data: bytes) -> int:
        if not isinstance(file._file, Full):
            file._file = Full(file._file)
        return real(file, data)

    monkeypatch.setattr(uploads.IncomingFile, "write", write)

    told = send(parts, form(("name", b"mine"), ("file.h5", LARGE)))

    assert fault_of(told)[:2] == (507, "store_full")
    assert told.taken < len(LARGE) // PIECE
    assert not left_of(parts)


def test_who_leaves_in_the_middle_leaves_nothing(parts: WebParts) -> None:
    class Leaver(Sender):
        async def receive(self) -> Any:
            if self.taken == len(self.parts):
                assert left_of(parts), "what has come is written before all has come"
                return {"type": "http.disconnect"}
            return await super().receive()

    client = Leaver(
        "/api/models", *pieces(form(("name", b"mine"), ("file.h5", LARGE))[:-100]), headers=[FORM], end=False
    )

    run_apart(create_front(parts)(client.scope, client.receive, client.send))

    assert not client.sent and not left_of(parts)


def test_what_a_client_has_sent_counts_where_its_bytes_are_limited(parts: WebParts) -> None:
    limited = replace(parts.settings, limit_bytes=1_000_000)
    with_limit = build_parts(limited)

    first = send(with_limit, form(("name", b"mine"), ("file.h5", LARGE)))
    second = send(with_limit, form(("name", b"mine"), ("file.h5", LARGE)), CHUNKED)
    with_limit.database.close()

    assert (first.status, second.status) == (202, 429)
    assert second.taken <= SMALL_BYTES // PIECE + 1


class Stuck(Sender):
    """One that sends a part of its form, and then nothing."""

    def __init__(self, *parts: bytes) -> None:
        super().__init__("/api/models", *parts, headers=[FORM], end=False)
        self.is_stuck = asyncio.Event()

    async def receive(self) -> Any:
        if self.taken == len(self.parts):
            self.is_stuck.set()
        return await super().receive()


def test_slow_senders_keep_nobody_else_from_importing(parts: WebParts) -> None:
    iris = (FOREIGN_MODELS / "iris_pipeline.onnx").read_bytes()
    begun = form(("name", b"mine"), ("file.h5", LARGE))[: SMALL_BYTES + 5 * PIECE]

    async def run() -> Sender:
        front, stuck = create_front(parts), [Stuck(*pieces(begun)) for _ in range(10)]
        waiting = [asyncio.create_task(front(each.scope, each.receive, each.send)) for each in stuck]
        for each in stuck:
            await each.is_stuck.wait()
        honest = Sender("/api/models", form(("name", b"mine"), ("file.onnx", iris)), headers=[FORM])
        await front(honest.scope, honest.receive, honest.send)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return honest

    assert run_apart(run()).status == 202
    assert [path.name for path in left_of(parts)] == ["file.onnx"]
