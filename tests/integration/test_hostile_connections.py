"""Connections on which interactive calls come in pieces, in heaps, slowly, or not to their end."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from testing.callers import call_in_a_row, codes_of
from testing.celeriac import Celeriac, celeriac
from testing.processes import wait_until
from testing.small_models import write_table_model

PREDICT = "/v1/models/table:predict"
GOOD = b'{"instances": [[3, 1]]}'
LIMIT = 100_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    folder = tmp_path_factory.mktemp("hostile")
    write_table_model(folder / "store")
    with celeriac(folder, MODEL_STORE=str(folder / "store"), MAX_CALL_BYTES=str(LIMIT)) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture(autouse=True)
def unharmed(service: Celeriac) -> Iterator[None]:
    """Whatever a test does, the next call is answered."""
    yield
    assert service.web.post(PREDICT, content=GOOD).json() == {"predictions": [[0.85, 0.15]]}


def exchange(service: Celeriac, *parts: bytes, is_end: bool = False, every_s: float = 0.0) -> bytes:
    """What the server says to these bytes until it closes the connection, or says no more."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(every_s)
        if is_end:
            connection.shutdown(socket.SHUT_WR)
        said = b""
        while not is_whole(said) and (data := connection.recv(2**16)):
            said += data
    return said


def is_whole(said: bytes) -> bool:
    """Whether a server has said all of an answer."""
    head, end, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end) and (length is None or len(body) == int(length[1]))


def head_of(*lines: str, path: str = PREDICT) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def test_who_closes_a_connection_in_the_middle_of_a_body_gets_no_answer(service: Celeriac) -> None:
    assert exchange(service, head_of("Content-Length: 1000"), b"{", is_end=True) == b""


def test_a_connection_with_a_body_that_was_refused_may_go_on(service: Celeriac) -> None:
    request = head_of(f"Content-Length: {LIMIT + 1}") + b"x" * (LIMIT + 1)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(request + head_of(f"Content-Length: {len(GOOD)}") + GOOD)
        said = b""
        while len(codes_of(said)) < 2:
            said += connection.recv(2**16)

    assert codes_of(said) == [b"413", b"200"]


def test_a_body_over_the_limit_is_refused_before_it_has_come(service: Celeriac) -> None:
    said = exchange(service, head_of(f"Content-Length: {LIMIT + 1}"))

    assert said.startswith(b"HTTP/1.1 413 ") and b'"too_large"' in said


def test_a_body_over_the_limit_of_no_stated_length_is_refused(service: Celeriac) -> None:
    said = exchange(service, head_of("Transfer-Encoding: chunked"), chunked(*[b"x" * 4000] * 26))

    assert said.startswith(b"HTTP/1.1 413 ") and b'"too_large"' in said


@pytest.mark.parametrize("lengths", [["-1"], ["x"], ["3", "5"], ["9" * 30]])
def test_a_length_that_makes_no_sense_is_refused(service: Celeriac, lengths: list[str]) -> None:
    said = exchange(service, head_of(*[f"Content-Length: {length}" for length in lengths]), GOOD)

    assert said.startswith(b"HTTP/1.1 400 ")


def test_a_body_in_chunks_is_read(service: Celeriac) -> None:
    body = chunked(*[GOOD[n : n + 1] for n in range(len(GOOD))])

    assert b'{"predictions":[[0.85,0.15]]}' in exchange(service, head_of("Transfer-Encoding: chunked"), body)


def test_chunks_that_are_none_are_refused(service: Celeriac) -> None:
    said = exchange(service, head_of("Transfer-Encoding: chunked"), b"zz\r\n{}\r\n0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 400 ")


def test_a_request_that_comes_byte_by_byte_is_answered(service: Celeriac) -> None:
    request = head_of(f"Content-Length: {len(GOOD)}") + GOOD
    bytes_of_it = [request[n : n + 1] for n in range(len(request))]

    assert b'{"predictions":[[0.85,0.15]]}' in exchange(service, *bytes_of_it, every_s=0.001)


def test_ten_thousand_tiny_requests_on_one_connection_are_refused_one_by_one(service: Celeriac) -> None:
    assert call_in_a_row(service.port, PREDICT, b"{}", count=10_000, connections=1) == {b"400": 10_000}


def test_requests_that_do_not_wait_for_answers_get_them_in_order(service: Celeriac) -> None:
    bodies = [
        [b'{"instances": [[%d, 1]]}' % (n % 10), b"{", b'{"instances": [[10, 1]]}'][n % 3] for n in range(90)
    ]
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        requests = b"".join(head_of(f"Content-Length: {len(body)}") + body for body in bodies)
        threading.Thread(target=connection.sendall, args=(requests,)).start()
        said = b""
        while len(codes_of(said)) < len(bodies) or not said.endswith(b"}"):
            said += connection.recv(2**16)

    assert codes_of(said) == [[b"200", b"400", b"422"][n % 3] for n in range(90)]
    shares = [float(share) for share in re.findall(rb"\[\[[\d.]+,([\d.]+)\]\]", said)]
    assert shares == pytest.approx([0.05 * (n % 10) for n in range(0, 90, 3)])


def test_thousands_of_small_calls_on_one_connection_are_answered(service: Celeriac) -> None:
    assert call_in_a_row(service.port, PREDICT, GOOD, count=2000, connections=1) == {b"200": 2000}


@pytest.mark.parametrize(
    "begin",
    [b"POST /v2/models/table/infer HT", head_of("Content-Length: 1000") + b"{"],
    ids=["in the head", "in the body"],
)
def test_clients_that_do_not_go_on_do_not_keep_others_waiting(service: Celeriac, begin: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            slow.sendall(begin)

        answer = service.web.post(PREDICT, content=GOOD, timeout=10)

    assert answer.status_code == 200


def test_clients_that_do_not_read_do_not_keep_others_waiting(service: Celeriac) -> None:
    request = head_of(f"Content-Length: {len(GOOD)}") + GOOD
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            deaf = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            deaf.sendall(request * 50)

        answer = service.web.post(PREDICT, content=GOOD, timeout=10)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "sent", [head_of("Content-Length: 1000") + b"{", head_of("Content-Length: 23") + GOOD]
)
def test_clients_that_leave_are_forgotten(service: Celeriac, sent: bytes) -> None:
    for turn in range(200):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(sent)
            time.sleep(0.001 * (turn % 3))

    is_forgotten = re.compile(r"^celeriac_calls_waiting_items 0", re.MULTILINE).search
    wait_until(lambda: bool(is_forgotten(service.web.get("/metrics").text)), what="no call waits")
    assert service.web.get("/v2/health/ready").json() == {"ready": True}
