"""Whom a request comes from, as proxies tell it; both halves of the web process know the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from production_server.access.records import ANONYMOUS, Client
from production_server.web.app import create_front
from production_server.web.edge.door import Asking
from production_server.web.edge.parts import WebParts
from production_server.web.edge.proxies import Proxies
from testing.event_loop import run_apart

CLIENT, FORGED = "198.51.100.7", "203.0.113.9"
PEER = ("10.0.0.2", 4711)
NAMED = Proxies(map(ip_network, ["127.0.0.1", "10.0.0.0/24", "fd00::/8"]))


def asked(
    *forwarded: str, peer: tuple[str, int] | None = PEER, proto: Sequence[str] = (), proxies: Proxies = NAMED
) -> tuple[Any, Any]:
    """The client and the scheme of a request with these headers."""
    headers = [(b"host", b"celeriac")]
    headers += [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    headers += [(b"x-forwarded-proto", value.encode("latin-1")) for value in proto]
    scope = proxies.resolved({"type": "http", "client": peer, "scheme": "http", "headers": headers})
    return scope["client"], scope["scheme"]


def test_a_named_proxy_says_whom_a_request_comes_from_and_how() -> None:
    assert asked(CLIENT, proto=["https"]) == ((CLIENT, 0), "https")


@pytest.mark.parametrize("peer", ["10.0.1.2", "192.0.2.1", "::1", "", "unix"])
def test_from_anybody_else_the_headers_are_passed_over(peer: str) -> None:
    assert asked(FORGED, peer=(peer, 5), proto=["https"]) == ((peer, 5), "http")


def test_without_named_proxies_nobody_is_believed() -> None:
    assert asked(FORGED, peer=("127.0.0.1", 5), proxies=Proxies([])) == (("127.0.0.1", 5), "http")
    assert asked(FORGED, peer=None) == (None, "http")


@pytest.mark.parametrize(
    "forwarded",
    [
        [f"{FORGED}, {CLIENT}"],
        [f"127.0.0.1, 10.0.0.9, {CLIENT}"],
        [FORGED, CLIENT],
        [FORGED, f"{FORGED}, {CLIENT}"],
        [f"{FORGED},{CLIENT},10.0.0.3"],
        [FORGED, CLIENT, "10.0.0.3, fd00::5"],
        [f"{CLIENT}, 127.0.0.1"],
        [f"  {CLIENT}\t"],
        [f"{FORGED}, {CLIENT}:4711"],
        [",".join([FORGED] * 5000) + f",{CLIENT}"],
    ],
)
def test_what_a_client_writes_itself_does_not_count_however_often_it_comes(forwarded: list[str]) -> None:
    assert asked(*forwarded) == ((CLIENT, 0), "http")


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [("[2001:db8::7]:80", "2001:db8::7"), ("[2001:db8::7]", "2001:db8::7"), ("2001:db8::7", "2001:db8::7")],
)
def test_an_address_of_ipv6_may_stand_in_brackets_and_with_a_port(forwarded: str, client: str) -> None:
    assert asked(forwarded) == ((client, 0), "http")


def test_an_address_of_ipv4_that_comes_as_ipv6_is_the_same_proxy() -> None:
    assert asked(CLIENT, peer=("::ffff:10.0.0.2", 5)) == ((CLIENT, 0), "http")


@pytest.mark.parametrize(
    "garbage", ["", " ", ",", "unknown", "_hidden", "1.2.3", "[", "[]", "\xff\xfe", "10.0.0.3.", "x" * 60_000]
)
def test_a_word_that_is_no_address_leaves_the_proxy_that_has_said_it(garbage: str) -> None:
    assert asked(garbage) == (PEER, "http")
    assert asked(f"{FORGED}, {garbage}") == (PEER, "http")
    assert asked(f"{FORGED}, {garbage}, 10.0.0.3") == (("10.0.0.3", 0), "http")


def test_where_all_are_proxies_it_comes_from_the_first_of_them() -> None:
    assert asked("10.0.0.5, 10.0.0.4") == (("10.0.0.5", 0), "http")
    assert asked(",".join(["10.0.0.5"] * 5000)) == (("10.0.0.5", 0), "http")


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [(["https"], "https"), (["HTTPS"], "https"), (["http", "https"], "https"), (["https,http"], "http"),
     (["wss"], "http"), (["javascript"], "http"), ([""], "http")],
)  # fmt: skip
def test_a_scheme_is_what_the_nearest_proxy_says(proto: list[str], scheme: str) -> None:
    assert asked(CLIENT, proto=proto)[1] == scheme


class Watched:
    """A door that notes who asks."""

    def __init__(self) -> None:
        self.peers: list[str] = []

    def admit(self, asking: Asking, /) -> Client:
        self.peers.append(asking.peer)
        return ANONYMOUS

    def look_again(self) -> None:
        raise AssertionError("it knows all that it needs")


def test_both_halves_know_the_same_client(parts: WebParts) -> None:
    door = Watched()
    front = create_front(replace(parts, door=door, proxies=NAMED))

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_event: Any) -> None:
        pass

    async def ask(peer: str, path: str, method: str) -> None:
        headers = [(b"host", b"celeriac"), (b"x-forwarded-for", f"{FORGED}, {CLIENT}".encode())]
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": b"",
            "headers": headers, "client": (peer, 5), "scheme": "http",
        }  # fmt: skip
        await front(scope, receive, send)

    async def ask_all() -> None:
        for peer in ("10.0.0.2", "192.0.2.1"):
            await ask(peer, "/v2/models/table/infer", "POST")
            await ask(peer, "/api/models", "GET")

    run_apart(ask_all())

    assert door.peers == [CLIENT, CLIENT, "192.0.2.1", "192.0.2.1"]
