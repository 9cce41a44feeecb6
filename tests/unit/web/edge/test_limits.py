"""Limits, as clients of the whole web process meet them: calls on the event loop, and Flask's requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, literal, select

from production_server.access.allowances import Most
from production_server.access.key_text import digest_of, id_of, new_key
from production_server.access.known_keys import KnownKeys
from production_server.access.limits import Limits
from production_server.access.rate_windows import RateWindows
from production_server.access.records import Client
from production_server.access.scopes import EVERYTHING, Scope
from production_server.errors import Unavailable
from production_server.jobs.tables import job
from production_server.settings import Settings
from production_server.web.app import create_app, create_front
from production_server.web.edge.door import KeyDoor
from production_server.web.edge.needs import ANYBODY, NEEDS, NO_SUCH_PATH
from production_server.web.edge.parts import WebParts
from production_server.web.edge.proxies import Proxies
from production_server.web.edge.sizes import SMALL_BYTES
from production_server.web.interactive.front import Front
from testing.event_loop import run_apart

AT = 1_800_000_030.0
ANNA, BEN, READER = new_key(), new_key(), new_key()
ADDRESS, OTHER_ADDRESS, LOOPBACK = "192.0.2.7", "192.0.2.8", "127.0.0.1"
CALL = ("POST", "/v2/models/table/infer")
ROWS = {"inputs": [{"name": "features", "shape": [2, 2], "datatype": "FP32", "data": [3, 7, 3, 7]}]}
JOB = ("POST", "/api/jobs")
INPUTS = {"model": "table", "inputs": [[3, 7]] * 3}
LIST = ("GET", "/api/jobs")


@dataclass
class Place:
    """A web process with limits, keys or none, and a clock that stands still."""

    parts: WebParts
    most: Most
    brought: Mapping[str, Client] = field(default_factory=dict)
    at: float = AT
    front: Front = field(init=False)

    def __post_init__(self) -> None:
        windows = RateWindows(self.parts.database, clock=lambda: literal(self.at))
        told = self.parts.metrics.request_limited
        limits = Limits(windows, self.most, on_refusal=told, clock=lambda: self.at)
        keys = KnownKeys(
            self.parts.database, {digest_of(key): client for key, client in self.brought.items()}
        )
        keys.look_again()
        self.parts = replace(self.parts, limits=limits, keys=keys, door=KeyDoor(keys))
        self.front = create_front(self.parts)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        address: str = ADDRESS,
        **content: Any,
    ) -> httpx.Response:
        headers = content.pop("headers", {}) | ({"x-api-key": key} if key else {})
        (answer,) = self.ask_at_once([(method, path, body, headers, address, content)])
        return answer

    def ask_at_once(self, asked: list[Any]) -> list[httpx.Response]:
        async def one(
            method: str, path: str, body: Any, headers: Any, address: str, content: Any
        ) -> httpx.Response:
            transport = httpx.ASGITransport(self.front, client=(address, 5))  # type: ignore[arg-type]  # events are mappings
            async with httpx.AsyncClient(transport=transport, base_url="http://celeriac") as client:
                return await client.request(method, path, json=body, headers=headers, **content)

        async def all_of_them() -> list[httpx.Response]:
            return list(await asyncio.gather(*(one(*each) for each in asked)))

        return run_apart(all_of_them())

    def limited(self) -> dict[str, float]:
        """How often each limit has kept somebody out, as metrics tell."""
        families = text_string_to_metric_families(self.parts.metrics.text().decode())
        return {
            sample.labels["limit"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == "celeriac_requests_limited_total"
        }


Make = Callable[..., Place]


@pytest.fixture
def place(parts: WebParts) -> Make:
    def make(*, with_keys: bool = True, **most: int) -> Place:
        client = {
            ANNA: Client("anna", EVERYTHING, id_of(ANNA), "anna's"),
            BEN: Client("ben", EVERYTHING, id_of(BEN), "ben's"),
            READER: Client("reader", frozenset({Scope.READ}), id_of(READER), "reader's"),
        }
        return Place(parts, Most(**most), client if with_keys else {})

    return make


def told(answer: httpx.Response) -> tuple[Any, ...]:
    return answer.status_code, answer.json().get("code")


def fields(answer: httpx.Response) -> list[str | None]:
    return [answer.headers.get(name) for name in ("retry-after", "ratelimit-policy", "ratelimit")]


def test_a_request_over_the_limit_is_told_which_it_is_and_when_to_come_back(place: Make) -> None:
    here = place(requests=2)
    assert [here.ask(*LIST, key=ANNA).status_code for _ in range(2)] == [200, 200]

    refused = here.ask(*LIST, key=ANNA)

    wait_s = int(refused.headers["retry-after"])
    assert refused.json() == {
        "type": "about:blank", "status": 429, "code": "too_many_requests", "title": "Too Many Requests",
        "detail": f"more than 2 requests in a minute: try again in {wait_s} s", "faults": [],
    }  # fmt: skip
    assert refused.headers["content-type"] == "application/problem+json"
    assert fields(refused)[1:] == ['"requests";q=2;w=60', f'"requests";r=0;t={wait_s}']
    assert here.ask(*LIST, key=BEN).status_code == 200
    here.at += wait_s - 2
    assert here.ask(*LIST, key=ANNA).status_code == 429
    here.at += 2
    assert here.ask(*LIST, key=ANNA).status_code == 200
    assert here.limited() == {"requests": 2.0}


def test_a_call_over_the_limit_is_told_so_as_its_protocol_tells_errors(place: Make) -> None:
    here = place(requests=1)
    here.ask(*LIST, key=ANNA)

    for path, body in ((CALL[1], ROWS), ("/v1/models/table:predict", {"instances": [[3, 7]]})):
        refused = here.ask("POST", path, body, key=ANNA)
        wait_s = refused.headers["retry-after"]
        assert told(refused) == (429, "too_many_requests")
        assert refused.json()["error"] == f"more than 1 requests in a minute: try again in {wait_s} s"
        assert fields(refused)[1:] == ['"requests";q=1;w=60', f'"requests";r=0;t={wait_s}']


def test_a_page_over_the_limit_is_a_page_that_says_so(place: Make) -> None:
    here = place(requests=1)
    here.ask(*LIST, key=ANNA)

    refused = here.ask("GET", "/predictions", key=ANNA)

    assert refused.status_code == 429
    assert refused.headers["content-type"].startswith("text/html")
    assert (
        f"More than 1 requests in a minute: try again in {refused.headers['retry-after']} s" in refused.text
    )


def test_each_operation_but_those_of_anybody_is_limited(place: Make, parts: WebParts) -> None:
    here = place(requests=1)
    here.ask(*LIST, key=ANNA)
    seen: set[str] = set()

    for rule in create_app(parts).url_map.iter_rules():
        values = {name: _value(rule.arguments, name, rule._converters[name]) for name in rule.arguments}
        _, path = rule.build(values) or ("", "")
        for method in (rule.methods or set()) - {"HEAD"}:
            if method == "OPTIONS" and not rule.endpoint.startswith("events."):
                continue
            answer = here.ask(method, path, key=ANNA)
            is_limited = answer.status_code == 429
            assert is_limited is (NEEDS[rule.endpoint] is not ANYBODY), (
                rule.endpoint,
                method,
                answer.status_code,
            )
            seen.add(rule.endpoint)
    for path in ("/v1/models/table:predict", "/v2/models/table/infer", "/no/such/path"):
        assert here.ask("POST", path, {}, key=ANNA).status_code == 429

    assert seen | {"calls.v1", "calls.v2", NO_SUCH_PATH} >= {name for name, needed in NEEDS.items() if needed}


def _value(_arguments: object, name: str, converter: Any) -> Any:
    kind = type(converter).__name__
    return {"UUIDConverter": uuid4(), "IntegerConverter": 0}.get(kind, f"some-{name}")


def test_on_this_machine_itself_nothing_is_limited(place: Make) -> None:
    here = place(requests=1, items=1, bytes=1, calls=1, refusals=1)

    answers = [here.ask(*JOB, INPUTS, key=ANNA, address=LOOPBACK) for _ in range(3)]
    wrong = [here.ask(*LIST, key=new_key(), address=LOOPBACK).status_code for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202] * 3
    assert wrong == [401] * 3
    assert fields(answers[-1]) == [None, None, None]


def test_what_is_left_is_told_once_it_is_less_than_half_in_both_halves(place: Make) -> None:
    here = place(requests=4, items=1000)
    assert fields(here.ask(*LIST, key=ANNA)) == [None, None, None]
    here.ask(*LIST, key=ANNA)

    assert fields(here.ask(*LIST, key=ANNA)) == [None, '"requests";q=4;w=60', '"requests";r=1;t=60']
    broken = here.ask(*CALL, {}, key=ANNA)
    assert broken.status_code == 400
    policy, limit = fields(broken)[1:]
    assert policy == '"requests";q=4;w=60'
    assert limit is not None and limit.startswith('"requests";r=0;t=')


def test_without_keys_each_address_is_limited_by_itself(place: Make) -> None:
    here = place(with_keys=False, requests=2)

    assert [here.ask(*LIST).status_code for _ in range(3)] == [200, 200, 429]
    assert here.ask(*LIST, address=OTHER_ADDRESS).status_code == 200
    assert here.ask(*LIST, address=LOOPBACK).status_code == 200


def test_a_client_is_counted_behind_a_named_proxy_and_cannot_say_that_it_is_the_machine(
    place: Make, parts: WebParts
) -> None:
    here = place(with_keys=False, requests=2)
    here.parts = replace(here.parts, proxies=Proxies([ip_network("127.0.0.1/32")]))
    here.front = create_front(here.parts)

    def ask(*forwarded: str) -> int:
        headers = [("x-forwarded-for", each) for each in forwarded]
        (answer,) = here.ask_at_once([(*LIST, None, headers, LOOPBACK, {})])
        return answer.status_code

    assert [ask(ADDRESS), ask(f"127.0.0.1, {ADDRESS}"), ask("::1", ADDRESS)] == [200, 200, 429]
    assert [ask(OTHER_ADDRESS), ask("unknown")] == [200, 200]


def test_a_proxy_on_this_machine_that_is_not_named_is_logged_once(
    place: Make, caplog: pytest.LogCaptureFixture
) -> None:
    here = place(with_keys=False, requests=2)

    for _ in range(3):
        here.ask(*LIST, address=LOOPBACK, headers={"x-forwarded-for": ADDRESS})

    lines = [record.getMessage() for record in caplog.records if "PROXIES" in record.getMessage()]
    assert lines == [
        "a proxy at 127.0.0.1 passes requests on, and PROXIES does not name it: no limit holds for them"
    ]


def test_items_of_jobs_forms_and_calls_are_counted_together(place: Make, parts: WebParts) -> None:
    here = place(items=8)
    assert here.ask(*JOB, INPUTS, key=ANNA).status_code == 202
    form = {"kind": "table", "table": "3,7\n4,8\n3,7"}
    assert here.ask("POST", "/predictions?model=table", key=ANNA, data=form).status_code == 303
    soon = {"x-request-timeout-ms": "50"}
    unanswered = here.ask(*CALL, ROWS, key=ANNA, headers=soon)
    assert unanswered.status_code in {503, 504}, "there is no worker; it was counted all the same"

    for ask in (JOB, CALL):
        assert told(here.ask(*ask, INPUTS if ask == JOB else ROWS, key=ANNA)) == (429, "too_many_requests")
    refused = here.ask("POST", "/predictions?model=table", key=ANNA, data=form)

    assert refused.status_code == 429
    assert "3,7\n4,8" in refused.text, "what was typed is still there"
    assert "More than 8 items in a minute" in refused.text or "more than 8 items in a minute" in refused.text
    assert fields(refused)[1] == '"items";q=8;qu="items";w=60'
    assert here.ask(*LIST, key=ANNA).status_code == 200
    assert here.ask("DELETE", f"/api/jobs/{uuid4()}", key=ANNA).status_code == 404
    with parts.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(job)).scalar_one() == 2


def test_what_is_not_stored_is_not_counted(place: Make, parts: WebParts) -> None:
    here = place(items=5)
    again = {"idempotency-key": "a"}
    first = here.ask(*JOB, INPUTS, key=ANNA, headers=again)

    repeated = [here.ask(*JOB, INPUTS, key=ANNA, headers=again).json()["id"] for _ in range(5)]
    conflict = here.ask(*JOB, {**INPUTS, "inputs": [[1, 1]]}, key=ANNA, headers=again)
    broken = here.ask(*JOB, {**INPUTS, "inputs": [[1]] * 9}, key=ANNA)

    assert repeated == [first.json()["id"]] * 5
    assert (conflict.status_code, broken.status_code) == (409, 400)
    assert here.ask(*JOB, INPUTS, key=ANNA).status_code == 202
    assert here.ask(*JOB, INPUTS, key=ANNA).status_code == 429
    assert here.ask(*JOB, INPUTS, key=ANNA, headers=again).json()["id"] == first.json()["id"]


def test_what_the_database_does_not_take_is_not_counted(
    place: Make, parts: WebParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place(items=5)

    with monkeypatch.context() as broken:
        broken.setattr(parts.database, "write", _away)
        assert [here.ask(*JOB, INPUTS, key=ANNA).status_code for _ in range(5)] == [503] * 5

    assert here.ask(*JOB, INPUTS, key=ANNA).status_code == 202


def _away() -> None:
    raise Unavailable("away")


def test_bytes_are_counted_as_they_come_in_both_halves(place: Make) -> None:
    here = place(bytes=1000)
    assert here.ask(*CALL, {"rubbish": "x" * 600}, key=ANNA).status_code == 400
    assert here.ask(*JOB, {"rubbish": "x" * 600}, key=ANNA).status_code == 400

    refused = here.ask(*CALL, ROWS, key=ANNA)

    assert told(refused) == (429, "too_many_requests")
    assert fields(refused)[1] == '"bytes";q=1000;qu="content-bytes";w=60'
    assert here.ask(*JOB, INPUTS, key=ANNA).status_code == 429
    assert here.ask(*LIST, key=ANNA).status_code == 200
    assert here.limited() == {"bytes": 2.0}


def test_a_long_body_counts_once_and_of_one_that_has_no_room_the_rest_is_not_read(
    parts: WebParts, settings: Settings
) -> None:
    roomy = replace(parts, settings=replace(settings, max_body_bytes=2**20))
    here = Place(roomy, Most(requests=2, bytes=1000), {ANNA: Client("anna", EVERYTHING, id_of(ANNA))})
    taken: list[int] = []

    async def long_body() -> AsyncIterator[bytes]:
        for number in range(8):
            taken.append(number)
            yield b"x" * (SMALL_BYTES // 4)

    def send() -> int:
        taken.clear()
        said = {"content-type": "application/json"}
        return here.ask(*JOB, key=ANNA, content=long_body(), headers=said).status_code

    assert (send(), len(taken)) == (400, 8)
    assert (send(), len(taken)) == (429, 5)
    assert here.ask(*LIST, key=ANNA).status_code == 200, "only the first of them was counted"
    assert here.ask(*LIST, key=ANNA).status_code == 429
    assert here.limited() == {"bytes": 1.0, "requests": 1.0}


def test_a_client_has_so_many_calls_in_hand_at_once(place: Make) -> None:
    here = place(calls=2)

    async def ask_three() -> list[int]:
        release = asyncio.Event()
        entered = 0
        all_in = asyncio.Event()

        async def one() -> int:
            sent: list[Any] = []

            async def receive() -> Any:
                nonlocal entered
                entered += 1
                if entered == 2:
                    all_in.set()
                await release.wait()
                return {"type": "http.request", "body": b"{", "more_body": False}

            async def send(event: Any) -> None:
                sent.append(event)

            headers = [(b"host", b"celeriac"), (b"x-api-key", ANNA.encode()), (b"content-length", b"1")]
            scope = {
                "type": "http",
                "method": "POST",
                "path": CALL[1],
                "headers": headers,
                "client": (ADDRESS, 5),
            }
            await here.front(scope, receive, send)
            return int(sent[0]["status"])

        first = [asyncio.ensure_future(one()) for _ in range(2)]
        await all_in.wait()
        third = await one()
        release.set()
        return [*await asyncio.gather(*first), third, await one()]

    assert run_apart(ask_three()) == [400, 400, 429, 400]
    assert here.limited() == {"calls": 1.0}


def test_keys_that_open_nothing_are_refused_and_whoever_has_one_that_does_comes_in(place: Make) -> None:
    here = place(refusals=3)
    looks = 0
    look = here.parts.door.look_again

    def counted() -> None:
        nonlocal looks
        looks += 1
        look()

    here.parts.door.look_again = counted  # type: ignore[method-assign]
    answers = [
        here.ask(*LIST),
        here.ask(*LIST, key=new_key()),
        here.ask(*CALL, ROWS, key=new_key()),
        here.ask(*LIST),
        here.ask(*LIST, key=new_key()),
        here.ask(*CALL, ROWS, key="cel_nonsense"),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429, 429]
    assert looks == 2
    assert fields(answers[-1])[1] == '"refusals";q=3;w=60'
    assert here.ask(*LIST, key=ANNA).status_code == 200
    assert here.ask(*LIST, key=new_key(), address=OTHER_ADDRESS).status_code == 401
    here.at += int(answers[-1].headers["retry-after"])
    assert here.ask(*LIST).status_code == 401


def test_a_failed_login_is_a_refusal_and_a_right_one_is_let_in_all_the_same(place: Make) -> None:
    here = place(refusals=2)

    def enter(key: str) -> httpx.Response:
        return here.ask("POST", "/login", data={"key": key})

    assert [enter(key).status_code for key in ("", "cel_nonsense")] == [401, 401]
    refused = enter(new_key())

    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert "More than 2 requests in a minute without a key that opens" in refused.text
    assert enter(ANNA).status_code == 303
    assert here.ask("GET", "/login").status_code == 200


def test_a_client_whose_key_may_not_do_a_thing_is_counted_as_well(place: Make) -> None:
    here = place(requests=2)

    answers = [here.ask(*JOB, INPUTS, key=READER).status_code for _ in range(3)]

    assert answers == [403, 403, 429]
