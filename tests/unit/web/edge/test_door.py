"""The door: both halves of the web process ask it, and say no as whoever asked expects to hear it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from production_server.access.records import Client
from production_server.access.scopes import EVERYTHING
from production_server.errors import Unauthorized, Unavailable
from production_server.jobs.tables import job
from production_server.web.app import create_app, create_front
from production_server.web.edge.door import Asking
from production_server.web.edge.needs import NEEDS, NO_SUCH_PATH
from production_server.web.edge.parts import WebParts
from production_server.web.interactive.open_inference import OpenInference
from production_server.web.interactive.tensorflow_serving import TensorFlowServing
from testing.event_loop import run_apart

ROW = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP32", "data": [3, 7]}]}
CALLS = [("/v1/models/table:predict", {"instances": [[3, 7]]}), ("/v2/models/table/infer", ROW)]
Headers = Sequence[tuple[str, str]]
ANNA = [("authorization", "Bearer anna")]
JOB = ("/api/jobs", {"model": "table", "inputs": [[3, 7]]})


class Watched:
    """A door that knows one key and notes who asks."""

    def __init__(self, error: type[Unauthorized | Unavailable] = Unauthorized) -> None:
        self.asked: list[Asking] = []
        self._error = error

    def admit(self, asking: Asking, /) -> Client:
        self.asked.append(asking)
        if asking.headers.get("authorization") != "Bearer anna":
            raise self._error("this key opens nothing")
        return Client("anna", EVERYTHING)

    def look_again(self) -> None:
        raise AssertionError("it knows all that it needs")


@pytest.fixture
def door() -> Watched:
    return Watched()


@pytest.fixture
def parts(parts: WebParts, door: Watched) -> WebParts:
    return replace(parts, door=door)


def ask(parts: WebParts, path: str, body: Any = None, *, headers: Headers = ()) -> httpx.Response:
    """What the whole web process answers: to JSON by POST, or to a GET."""

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(create_front(parts), client=("192.0.2.7", 5))  # type: ignore[arg-type]  # events are mappings
        async with httpx.AsyncClient(transport=transport, base_url="http://celeriac") as client:
            method = "GET" if body is None else "POST"
            return await client.request(method, path, json=body, headers=headers)

    return run_apart(answer())


def lines(answer: httpx.Response, *names: str) -> Sequence[str | None]:
    return [answer.headers.get(name) for name in names]


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_a_call_that_is_refused_is_told_so_as_its_protocol_tells_errors(
    parts: WebParts, path: str, body: Any
) -> None:
    refused = ask(parts, path, body)

    assert refused.status_code == 401
    assert refused.json() == {"error": "this key opens nothing", "code": "unauthorized"}
    assert lines(refused, "content-type", "www-authenticate") == ["application/json", "Bearer"]


@pytest.mark.parametrize("path", ["/v1/models/table", "/v2", "/v2/models/table/ready"])
def test_what_a_protocol_tells_beside_calls_is_refused_as_calls_are(parts: WebParts, path: str) -> None:
    refused = ask(parts, path)

    assert refused.status_code == 401
    assert refused.json() == {"error": "this key opens nothing", "code": "unauthorized"}
    assert lines(refused, "content-type", "www-authenticate") == ["application/json", "Bearer"]


@pytest.mark.parametrize(
    ("path", "body"), [JOB, ("/api/models", None), ("/api/nothing", None), ("/openapi.json", None)]
)
def test_a_request_to_the_api_that_is_refused_gets_a_problem(parts: WebParts, path: str, body: Any) -> None:
    refused = ask(parts, path, body)

    assert refused.status_code == 401
    assert refused.json() == {
        "type": "about:blank", "status": 401, "code": "unauthorized", "title": "Unauthorized",
        "detail": "this key opens nothing", "faults": [],
    }  # fmt: skip
    assert lines(refused, "content-type", "www-authenticate") == ["application/problem+json", "Bearer"]
    with parts.database.read() as connection:
        assert connection.execute(select(job.c.id)).all() == []


@pytest.mark.parametrize("path", ["/", "/predictions?model=table", "/stats", "/docs", "/no/such/page"])
def test_a_page_that_is_refused_is_a_page_that_says_so(parts: WebParts, path: str) -> None:
    refused = ask(parts, path)

    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.headers["content-type"].startswith("text/html")
    assert "his key opens nothing" in refused.text


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/readyz", 503), ("/v2/health/live", 200),
                                              ("/v2/health/ready", 400), ("/static/page.css", 200)])  # fmt: skip
def test_probes_and_the_styles_of_the_refusal_are_open_to_all(
    parts: WebParts, door: Watched, path: str, status: int
) -> None:
    assert (ask(parts, path).status_code, door.asked) == (status, [])


def test_metrics_are_not_open_to_all(parts: WebParts) -> None:
    assert ask(parts, "/metrics").status_code == 401
    assert b"celeriac_jobs" in ask(parts, "/metrics", headers=ANNA).content


def test_whoever_comes_in_is_the_client_that_a_job_belongs_to(parts: WebParts) -> None:
    assert ask(parts, *JOB, headers=ANNA).status_code == 202

    with parts.database.read() as connection:
        assert connection.execute(select(job.c.client)).scalars().all() == ["anna"]


def test_both_halves_tell_the_door_what_is_asked_for_and_from_where(parts: WebParts, door: Watched) -> None:
    for path, body in [*CALLS, JOB, ("/no/such/page", None)]:
        ask(parts, path, body)

    assert [(each.operation, each.method, each.path, each.peer) for each in door.asked] == [
        ("calls.v1", "POST", "/v1/models/table:predict", "192.0.2.7"),
        ("calls.v2", "POST", "/v2/models/table/infer", "192.0.2.7"),
        ("jobs.submit", "POST", "/api/jobs", "192.0.2.7"),
        ("none", "GET", "/no/such/page", "192.0.2.7"),
    ]


def test_a_header_that_comes_twice_is_the_same_to_the_door_in_both_halves(
    parts: WebParts, door: Watched
) -> None:
    twice = [("authorization", "Bearer eve"), ("authorization", "Bearer anna")]

    answers = [ask(parts, path, body, headers=twice).status_code for path, body in [*CALLS, JOB]]

    assert answers == [401, 401, 401]
    assert {each.headers.get("authorization") for each in door.asked} == {"Bearer eve,Bearer anna"}


@pytest.mark.parametrize("path", [path for path, _ in CALLS])
def test_a_call_is_refused_before_its_body_is_looked_at(parts: WebParts, path: str) -> None:
    sent: list[Any] = []

    async def never() -> Any:
        raise AssertionError("nobody reads the body of who is not let in")

    async def send(event: Any) -> None:
        sent.append(event)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": [], "client": None}
    run_apart(create_front(parts)(scope, never, send))

    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(("path", "body"), [*CALLS, JOB, ("/", None)])
def test_a_door_may_also_say_that_it_is_too_much_for_now(parts: WebParts, path: str, body: Any) -> None:
    refused = ask(replace(parts, door=Watched(Unavailable)), path, body)

    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)


def test_every_operation_says_what_it_needs(parts: WebParts) -> None:
    """One that did not would be refused to everybody."""
    operations = {rule.endpoint for rule in create_app(parts).url_map.iter_rules()}
    calls = {f"calls.{protocol.name}" for protocol in (OpenInference, TensorFlowServing)}

    assert set(NEEDS) == operations | calls | {NO_SUCH_PATH}
