from __future__ import annotations

from typing import Any

import pytest

from production_server.web.edge.sites import Sites
from production_server.web.edge.to_https import ToHttps
from testing.event_loop import run_apart


def answer(
    host: str | None, path: str = "/", query: str = "", *, port: int = 5100
) -> tuple[int, dict[str, str]]:
    """The status and the headers of what is answered to a request."""
    sent: list[dict[str, Any]] = []
    scope = {
        "method": "GET",
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [] if host is None else [(b"host", host.encode())],
    }

    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody reads bodies here")

    async def send(event: Any) -> None:
        sent.append(event)

    run_apart(ToHttps(Sites(["celeriac.example.org"]), port=port)(scope, receive, send))
    start, body = sent
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    assert int(headers["content-length"]) == len(body["body"])
    assert headers["connection"] == "close"
    return start["status"], headers


@pytest.mark.parametrize(
    ("host", "path", "query", "port", "place"),
    [
        ("localhost:5180", "/", "", 5100, "https://localhost:5100/"),
        ("celeriac.example.org", "/jobs", "", 443, "https://celeriac.example.org/jobs"),
        ("CELERIAC.example.org.:80", "/", "", 443, "https://celeriac.example.org/"),
        ("127.0.0.1:80", "/a%20b", "c=d%2F&e", 5100, "https://127.0.0.1:5100/a%20b?c=d%2F&e"),
        ("[::1]:80", "/", "", 8443, "https://[::1]:8443/"),
        ("localhost", "//evil.example/", "", 443, "https://localhost//evil.example/"),
        ("localhost", "/caf\xe9", "", 443, "https://localhost/caf\xe9"),
    ],
)
def test_a_request_is_sent_on_to_the_same_name_and_path(
    host: str, path: str, query: str, port: int, place: str
) -> None:
    status, headers = answer(host, path, query, port=port)

    assert (status, headers["location"]) == (308, place)


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("evil.example", "/", 403),
        ("celeriac.example.org.evil.example", "/", 403),
        ("evil.example/celeriac.example.org", "/", 400),
        ("user@evil", "/", 400),
        ("", "/", 400),
        (":80", "/", 400),
        (None, "/", 400),
        ("localhost", "*", 400),
        ("localhost", "evil.example:443", 400),
    ],
)
def test_nobody_is_sent_elsewhere(host: str | None, path: str, status: int) -> None:
    answered, headers = answer(host, path)

    assert answered == status
    assert "location" not in headers
