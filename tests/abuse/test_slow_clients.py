"""Clients that send slowly, do not read, or do nothing: what others see meanwhile, and what becomes of them."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from testing.neighbours import MODEL, ROW
from testing.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from testing.celeriac import Celeriac
    from testing.neighbours import Seen

    Watch = Callable[[], AbstractContextManager[Seen]]

MB = 10**6
CUT_OFF_S = 15
"""Ten seconds with hardly a byte are enough; the rest is for machines that are busy."""
BIG = 20_000
"""Items whose results are more than the kernel keeps for a reader."""


@pytest.fixture(scope="module", autouse=True)
def room_for_connections() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def connections(service: Celeriac, *begins: bytes, deaf: bool = False) -> Iterator[list[socket.socket]]:
    """A connection for each of these; they are sent at once, and none is read from."""
    with contextlib.ExitStack() as stack:
        opened = []
        for begin in begins:
            connection = stack.enter_context(socket.socket())
            if deaf:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(CUT_OFF_S)
            connection.connect(("127.0.0.1", service.port))
            connection.sendall(begin)
            opened.append(connection)
        yield opened


def post(path: str, *, size: int = 60 * MB, kind: str = "application/json") -> bytes:
    length = f"Content-Length: {size}" if size else "Transfer-Encoding: chunked"
    head = (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", length, "", "")
    return "\r\n".join(head).encode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def drip(opened: Sequence[socket.socket], seconds: float, byte: bytes = b" ") -> None:
    """Send a byte a second on each connection."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for connection in opened:
            with contextlib.suppress(OSError):  # it may have been cut off
                connection.send(byte)
        time.sleep(1)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends it, after whatever it still says."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(2**16):
            pass
    return True


BODIES = {
    "jobs": post("/api/jobs"),
    "forms": post("/api/jobs", kind="multipart/form-data; boundary=x"),
    "a page's forms": post("/predictions?model=diabetes", kind="multipart/form-data; boundary=x"),
    "scans": post("/api/scans"),
    "jobs of no stated length": post("/api/jobs", size=0) + b"1000000\r\n",
    "calls": post(f"/v1/models/{MODEL}:predict", size=1 * MB),
    "other calls": post(f"/v2/models/{MODEL}/infer", size=1 * MB),
}


def test_bodies_that_drip(service: Celeriac, neighbours: Watch) -> None:
    """They keep no thread, nobody is refused for what has not come, and they are cut off."""
    begins = [begin for begin in BODIES.values() for _ in range(4)]
    with neighbours(), connections(service, *begins) as opened:
        drip(opened, 12)
        answers = [connection.recv(2**16) for connection in opened]
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
        assert all(b"request_timeout" in answer for answer in answers if b"json" in answer)
        assert all(map(is_closed, opened))


def test_bodies_that_come_fast_at_first(service: Celeriac, neighbours: Watch) -> None:
    """What has come of them is in files; a large body beside them is taken."""
    head = post("/api/jobs", kind="multipart/form-data; boundary=x")
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    begins = [*[head + part] * 6, *[post("/api/jobs") + b'{"model": "'] * 2]
    with neighbours(), connections(service, *begins) as opened:
        with ThreadPoolExecutor(len(opened)) as pool:
            list(pool.map(lambda connection: connection.sendall(b"x" * 40 * MB), opened))
        drip(opened, 3)
        assert submit_form(service, 20 * MB) == 413  # too many pixels: it was read


def submit_form(service: Celeriac, size: int) -> int:
    """The status of a form with a file of so many bytes that is none of an image."""
    files = {"file": ("a.ppm", b"P6 10000 10000 255\n" + bytes(size))}
    return service.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=files).status_code


def test_a_slow_line_is_served(service: Celeriac) -> None:
    """A tenth of a megabyte each half second, as an uplink of 2 Mbit/s brings it, for a while."""
    body = b'{"model": "diabetes", "inputs": [[6, 148, 72, 35, 0, 33.6, 0.627, 50]]}' + b" " * MB
    with connections(service, post("/api/jobs", size=len(body))) as (connection,):
        for start in range(0, len(body), 125_000):
            connection.sendall(body[start : start + 125_000])
            time.sleep(0.5)

        assert connection.recv(2**16).startswith(b"HTTP/1.1 202 ")


def test_heads_that_drip(service: Celeriac, neighbours: Watch) -> None:
    with neighbours(), connections(service, *[b"GET /livez HTTP/1.1\r\nX-A: "] * 500) as opened:
        drip(opened, 4, b"a")


def test_connections_that_are_idle(service: Celeriac, neighbours: Watch) -> None:
    asked = [get("/v2")] * 500
    with neighbours(), connections(service, *asked, *[b""] * 1000):
        time.sleep(3)


@pytest.fixture(scope="module")
def big_job(service: Celeriac) -> str:
    """The path of a job whose results are long."""
    job = service.submit(MODEL, [ROW] * BIG)
    service.wait_for(job)
    return str(job["links"]["self"])


def unread(job: str) -> list[bytes]:
    """What there is to be asked for and not read."""
    long = [f"{job}/results.json", f"{job}/results.csv", "/api/results.csv", f"{job}/events"]
    return [get(path) for path in long for _ in range(6)]


def test_clients_that_do_not_read(service: Celeriac, big_job: str, neighbours: Watch) -> None:
    with neighbours(), connections(service, *unread(big_job), deaf=True):
        time.sleep(3)


def test_clients_that_read_a_byte_a_second(service: Celeriac, big_job: str, neighbours: Watch) -> None:
    with neighbours(), connections(service, *unread(big_job), deaf=True) as opened:
        for _ in range(3):
            for connection in opened:
                connection.recv(1)
            time.sleep(1)


def test_five_hundred_event_streams(service: Celeriac, big_job: str, neighbours: Watch) -> None:
    with neighbours(), connections(service, *[get(f"{big_job}/events")] * 500):
        time.sleep(3)


@pytest.mark.parametrize("path", ["/livez", "/api/models"])
def test_ten_thousand_requests_that_wait_for_no_answer(
    service: Celeriac, path: str, neighbours: Watch
) -> None:
    with neighbours(), connections(service, b"") as (connection,):
        sender = threading.Thread(target=send_all_of, args=(connection, get(path) * 10_000))
        sender.start()
        time.sleep(2)
        connection.shutdown(socket.SHUT_RDWR)
        sender.join()


def send_all_of(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # it is closed in the middle
        connection.sendall(data)


def test_a_stop_waits_for_none_of_them(service: Celeriac, big_job: str) -> None:
    """Within the drain (5 s), and what a stop may take longer (5 s) before it counts as stuck."""
    begins = [
        *unread(big_job),
        *BODIES.values(),
        *[get(f"{big_job}/events")] * 100,
        *[b"GET /"] * 100,
        *[b""] * 100,
    ]
    with connections(service, *begins, deaf=True):
        time.sleep(1)
        began_at = time.monotonic()
        code = service.stop()
        took_s = time.monotonic() - began_at
    service.start()

    assert code == 0
    assert took_s < 30
    wait_until(lambda: is_served(service), what="a call is answered")


def is_served(service: Celeriac) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        answer = service.web.post(f"/v1/models/{MODEL}:predict", json={"instances": [ROW]})
        return answer.status_code == 200
    return False
