"""Requests as old, careful and upgrading clients write them, byte for byte, against the running service."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator

import pytest

from testing.celeriac import Celeriac, celeriac

ROW = b'{"instances": [[3, 1]]}'
PREDICTION = b'{"predictions":[[0.85,0.15]]}'
PREDICT = b"POST /v1/models/table:predict"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
TENSOR = json.dumps(
    {
        "inputs": [
            {"name": "features", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
        ]
    }
).encode()


@pytest.fixture(scope="module")
def service(model_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    with celeriac(tmp_path_factory.mktemp("http"), MODEL_STORE=model_store) as running:
        yield running
        assert "Traceback" not in running.log


def said(service: Celeriac, request: bytes) -> tuple[int, bytes, bytes]:
    """Status, head and body of the last answer on a connection that the server closes."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(2**16), b""))
    head, _, body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    return int(head[9:12]), head, body


def post(line: bytes, headers: bytes, body: bytes = ROW) -> bytes:
    length = b"" if b"chunked" in headers else b"Content-Length: %d\r\n" % len(body)
    return line + b"\r\nHost: here\r\nConnection: close\r\n" + headers + length + b"\r\n" + body


def chunks(*parts: bytes) -> bytes:
    return (
        b"".join(b"%x;name=value\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nX-Sum: 7\r\n\r\n"
    )


CALLS = {
    "Java's offer of h2c": post(PREDICT + b" HTTP/1.1", H2C),
    "an offer of WebSocket": post(PREDICT + b" HTTP/1.1", b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
    "an offer of TLS": post(PREDICT + b" HTTP/1.1", b"Connection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n"),
    "an offer, the body in chunks": post(
        PREDICT + b" HTTP/1.1", H2C + b"Transfer-Encoding: chunked\r\n", chunks(ROW[:5], ROW[5:])
    ),
    "an offer, the body compressed": post(
        PREDICT + b" HTTP/1.1", H2C + b"Content-Encoding: gzip\r\n", gzip.compress(ROW)
    ),
    "HTTP/1.0": post(PREDICT + b" HTTP/1.0", b""),
    "HTTP/1.0 that would stay": post(PREDICT + b" HTTP/1.0", b"Connection: keep-alive\r\n"),
    "HTTP/1.0 that expects": post(PREDICT + b" HTTP/1.0", b"Expect: 100-continue\r\n"),
    "a client that asks first": post(PREDICT + b" HTTP/1.1", b"Expect: 100-Continue\r\n"),
    "chunks with extensions and a trailer": post(
        PREDICT + b" HTTP/1.1", b"Transfer-Encoding: chunked\r\n", chunks(ROW[:1], ROW[1:])
    ),
    "a whole URL": post(b"POST http://here/v1/models/table:predict HTTP/1.1", b""),
    "an escaped path": post(b"POST /v1/models/t%61ble%3Apredict HTTP/1.1", b""),
    "empty lines before it": b"\r\n\r\n" + post(PREDICT + b" HTTP/1.1", b""),
    "names in other case": post(PREDICT + b" HTTP/1.1", b"cOnTeNt-tYpE: APPLICATION/JSON; Charset=UTF-8\r\n"),
    "values in other case": post(
        PREDICT + b" HTTP/1.1", b"Content-Encoding: GZIP\r\n", gzip.compress(ROW)
    ),
    "spaces around values": post(
        PREDICT + b" HTTP/1.1", b"Content-Encoding: \t gzip \t \r\nX-Request-Timeout-Ms:5000 \r\n", gzip.compress(ROW)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_a_call_is_answered_however_its_client_speaks_http(service: Celeriac, case: str) -> None:
    status, head, body = said(service, CALLS[case])

    assert (status, body) == (200, PREDICTION), body
    assert b"content-length: %d" % len(PREDICTION) in head


def test_spaces_behind_the_length_of_a_tensors_json_are_no_part_of_it(service: Celeriac) -> None:
    raw = b"\0\0\x40\x40\0\0\x80\x3f"
    headers = b"Inference-Header-Content-Length: %d \r\n" % len(TENSOR)

    status, _, body = said(service, post(b"POST /v2/models/table/infer HTTP/1.1", headers, TENSOR + raw))

    assert status == 200, body


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("offer", [b"", H2C], ids=["plain", "h2c"])
def test_a_job_is_taken_however_its_client_speaks_http(
    service: Celeriac, version: bytes, offer: bytes
) -> None:
    job = b'{"model": "table", "inputs": [[3, 1]]}'
    headers = offer + b"Content-Type: application/json\r\n"

    status, _, body = said(service, post(b"POST /api/jobs HTTP/" + version, headers, job))

    assert (status, json.loads(body)["total"]) == (202, 1)


@pytest.mark.parametrize(
    ("name", "begins", "ends"),
    [
        ("results.csv", b"index,index,weight,state", b"\n"),
        ("results.json", b'{"results": [', b'"next": null}\n'),
        ("events", b"retry: 2000\n\nid: 0\n", b"\n\n"),
    ],
)
def test_to_http_1_0_a_stream_comes_without_chunks(
    service: Celeriac, name: str, begins: bytes, ends: bytes
) -> None:
    job = service.submit("table", [[3, 1]])
    service.wait_for(job)

    status, head, body = said(service, f"GET /api/jobs/{job['id']}/{name} HTTP/1.0\r\n\r\n".encode())

    assert status == 200
    assert b"transfer-encoding" not in head
    assert body.startswith(begins), body
    assert body.endswith(ends)


def test_the_head_of_an_event_stream_comes_at_once_however_long_the_job_waits(service: Celeriac) -> None:
    before = service.submit("slow", [[n, 1] for n in range(1000)])
    job = service.submit("slow", [[n, 1] for n in range(17)])

    with service.web.stream("GET", job["links"]["events"]) as stream:
        first = next(stream.iter_lines())
        state = service.web.get(job["links"]["self"]).json()["state"]

    assert (first, stream.headers["x-accel-buffering"], state) == ("retry: 2000", "no", "queued")
    service.web.post(f"/api/jobs/{before['id']}/cancel")


REFUSED = {
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: here\r\nHost: there\r\n\r\n",
    "two hosts and an offer": b"GET /livez HTTP/1.1\r\nHost: here\r\nhost: here\r\n" + H2C + b"\r\n",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT there:443 HTTP/1.1\r\nHost: there:443\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "a folded header": post(PREDICT + b" HTTP/1.1", b"X-One: a\r\n b\r\n"),
    "a name before a space": post(PREDICT + b" HTTP/1.1", b"X-One : a\r\n"),
    "two lengths": post(PREDICT + b" HTTP/1.1", b"Content-Length: 5\r\n"),
    "a length and chunks": post(
        PREDICT + b" HTTP/1.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunks(ROW)
    ),
    "a length below zero": b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: -1\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_http_1_is_refused(service: Celeriac, case: str) -> None:
    status, _, _ = said(service, REFUSED[case])

    assert status == 400
