"""One trace from a request through the queue into the worker, with the spans kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from production_server.broker.links import LocalLink
from production_server.broker.local_queue import LocalQueue
from production_server.broker.transport import Transport
from production_server.parts import SharedParts
from production_server.settings import read_settings
from production_server.tracing import create_tracing
from production_server.tracing.spans import Tracing
from production_server.web.app import create_front
from production_server.web.edge.parts import WebParts, build_parts
from production_server.worker.embedded import EmbeddedWorker
from testing.event_loop import run_apart
from testing.processes import wait_until

PARENT_SPAN = "00f067aa0ba902b7"


@dataclass
class Place:
    """A web process and a worker in this one."""

    parts: WebParts
    exporter: InMemorySpanExporter
    trace: str
    """The client's, of one test: what a worker does by itself, such as looking for lost chunks, is in others."""

    def parent(self, flags: str = "01") -> str:
        return f"00-{self.trace}-{PARENT_SPAN}-{flags}"

    def post(self, path: str, bodies: Sequence[Any], **headers: str) -> list[httpx.Response]:
        """Post all bodies at once, in an event loop of their own."""

        async def all_at_once() -> list[httpx.Response]:
            with contextlib.closing(self.parts.caller) as caller:
                caller.start()
                return await ask()

        async def ask() -> list[httpx.Response]:
            transport = httpx.ASGITransport(create_front(self.parts))  # type: ignore[arg-type]  # its Scope is a Mapping
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                posts = [client.post(path, json=body, headers=headers) for body in bodies]
                return [response.raise_for_status() for response in await asyncio.gather(*posts)]

        return run_apart(all_at_once())

    def spans(self, kind: SpanKind, about: str = "") -> list[ReadableSpan]:
        found = self.exporter.get_finished_spans()
        return [span for span in found if span.kind is kind and about in span.name]

    def of_trace(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.spans(kind) if ids(span)[0] == self.trace]

    def one(self, kind: SpanKind) -> ReadableSpan:
        wait_until(lambda: bool(self.of_trace(kind)), what=f"a span of {kind}")
        (span,) = self.of_trace(kind)
        return span


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def parts(
    exporter: InMemorySpanExporter, tmp_path_factory: pytest.TempPathFactory, model_store: str
) -> Iterator[WebParts]:
    """For all tests of the module: models take a while to load."""
    state_dir = str(tmp_path_factory.mktemp("state"))
    settings = read_settings({"STATE_DIR": state_dir, "MODEL_STORE": model_store, "CALL_BATCHES": "1"})
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider)
    queue, link = LocalQueue(tracing=tracing), LocalLink()
    shared = SharedParts.build(settings, Transport(queue, link), tracing=tracing)
    shared.database.migrate()
    worker = EmbeddedWorker(shared, queue, link)
    worker.start()
    parts = build_parts(settings, shared)
    yield parts
    worker.stop()
    shared.close()
    tracing.close()


@pytest.fixture
def place(parts: WebParts, exporter: InMemorySpanExporter) -> Place:
    exporter.clear()
    return Place(parts, exporter, uuid4().hex)


def ids(span: ReadableSpan) -> tuple[str, int | None]:
    """A span's trace, and its parent."""
    return f"{span.context.trace_id:032x}", span.parent and span.parent.span_id


def test_a_call_is_one_trace_from_the_clients_span_into_the_worker(place: Place) -> None:
    place.post("/v1/models/table:predict", [{"instances": [[0, 1]]}], traceparent=place.parent())

    server, sent, processed = map(place.one, (SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER))

    assert ids(server) == (place.trace, int(PARENT_SPAN, 16))
    assert ids(sent) == (place.trace, server.context.span_id)
    assert ids(processed) == (place.trace, sent.context.span_id)
    assert (server.name, sent.name, processed.name) == (
        "POST /v1/models/{model}:{method}", "send celeriac.calls", "process celeriac.calls",
    )  # fmt: skip
    known = {**(server.attributes or {})}
    assert (known["http.response.status_code"], known["celeriac.model"]) == (200, "table")
    (event,) = processed.events
    assert (event.name, (event.attributes or {})["outcome"]) == ("batch", "answered")


def test_calls_that_travel_together_are_linked_to_their_batch(place: Place) -> None:
    bodies = [{"instances": [[n, 1]]} for n in range(8)]
    place.post("/v1/models/slow:predict", bodies)

    wait_until(lambda: len(place.spans(SpanKind.SERVER)) == 8, what="all have ended")
    requests = {span.context.span_id for span in place.spans(SpanKind.SERVER)}
    batches = place.spans(SpanKind.CONSUMER, "celeriac.calls")
    linked = [link.context.span_id for batch in batches for link in batch.links]
    alone = [batch for batch in batches if not batch.links]

    assert 0 < len(batches) < 8 and len(linked) > 1
    assert len({span.context.trace_id for span in place.spans(SpanKind.SERVER)}) == 8
    assert set(linked) <= requests and len(set(linked)) + len(alone) == 8
    for batch in batches:
        traces = [link.context.trace_id for link in batch.links]
        assert not traces or batch.context.trace_id == traces[0]


def test_a_job_is_one_trace_from_the_request_into_the_workers_chunks(place: Place) -> None:
    (response,) = place.post(
        "/api/jobs", [{"model": "table", "inputs": [[0, 1], [9, 1]]}], traceparent=place.parent()
    )

    server, sent, processed = map(place.one, (SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER))

    assert ids(sent) == (place.trace, server.context.span_id)
    assert ids(processed) == (place.trace, sent.context.span_id)
    assert (server.name, processed.name) == ("POST /api/jobs", "process celeriac.jobs.high")
    assert (processed.attributes or {})["celeriac.job_id"] == response.json()["id"]
    assert [event.name for event in processed.events] == ["chunk"]


def test_what_the_client_does_not_sample_is_not_traced(place: Place) -> None:
    place.post("/v1/models/table:predict", [{"instances": [[0, 1]]}] * 3, traceparent=place.parent("00"))

    assert not [span for kind in SpanKind for span in place.of_trace(kind)]


def test_a_request_that_fails_is_an_error_in_its_trace(place: Place) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        place.post("/v1/models/nowhere:predict", [{"instances": [[0, 1]]}], traceparent=place.parent())

    server = place.one(SpanKind.SERVER)

    assert (server.attributes or {})["http.response.status_code"] == 404
    assert server.status.is_unset


@pytest.mark.parametrize(
    ("environ", "traced"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
    ],
)
def test_nothing_is_traced_unless_somebody_asks_for_it(environ: dict[str, str], traced: bool) -> None:
    tracing = create_tracing(read_settings(environ), "web")

    assert (tracing is not None) == traced
    if tracing is not None:
        tracing.close()
