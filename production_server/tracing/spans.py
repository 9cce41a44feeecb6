"""The spans of this service, by OpenTelemetry's semantic conventions for HTTP servers and for messaging.

A request's context comes in W3C's `traceparent` header and travels with messages in the same form. Calls that travel in
one batch are of several traces: the batch belongs to the first one's that is sampled, and is linked to each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["Span", "Tracing", "ids_in_logs"]

W3C = TraceContextTextMapPropagator()
CALLS = "celeriac.calls"
"""What the destinations of calls begin with, which go to workers themselves."""
LINKS = "links"
"""Beside `traceparent`: those of all calls of a batch, with a comma between."""
Attributes = Mapping[str, str | int | float]
EndRequest = Callable[[str, int | None, Attributes], None]


class Tracing:
    """Makes spans; safe to share between threads."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("celeriac")

    def close(self) -> None:
        """Export what was not yet."""
        self._provider.shutdown()

    def begin_request(self, method: str, path: str, headers: Mapping[str, str]) -> Span:
        """The span of an HTTP request, to be ended by `end_request`; `headers` by their names in lower case."""
        attributes = {"http.request.method": method, "url.path": path}
        return self._tracer.start_span(
            method, W3C.extract(headers, Context()), SpanKind.SERVER, attributes=attributes
        )

    def end_request(self, span: Span, route: str, status: int | None, attributes: Attributes) -> None:
        """`route` is a pattern, not the path itself; without a status, the client has left."""
        if span.is_recording():
            span.update_name(f"{span.attributes['http.request.method']} {route}")  # type: ignore[attr-defined]
        span.set_attribute("http.route", route)
        span.set_attributes(attributes)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    @contextmanager
    def request(self, method: str, path: str, headers: Mapping[str, str]) -> Iterator[EndRequest]:
        """While this thread answers an HTTP request; gives what ends its span, as `end_request` does."""
        span = self.begin_request(method, path, headers)
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield partial(self.end_request, span)

    @contextmanager
    def sending(self, queue: str, messages: int, callers: Sequence[Span] = ()) -> Iterator[dict[str, str]]:
        """While messages are sent; gives what each shall carry.

        `callers` are the spans that ask, if it is not this thread's current one.
        """
        contexts = [span.get_span_context() for span in callers]
        sampled = (each for each in callers if each.get_span_context().trace_flags.sampled)
        parent = next(sampled, callers[0] if callers else None)
        with self._tracer.start_as_current_span(
            f"send {queue}",
            None if parent is None else trace.set_span_in_context(parent, Context()),
            SpanKind.PRODUCER,
            attributes=_of_messaging(queue, "send", messages),
            links=[Link(context) for context in contexts if context.is_valid],
        ):
            carried: dict[str, str] = {}
            W3C.inject(carried)
            if len(callers) > 1:
                carried[LINKS] = ",".join(_traceparent(span) for span in callers)
            yield carried

    @contextmanager
    def processing(self, queue: str, carried: Mapping[str, str], attributes: Attributes) -> Iterator[Span]:
        """While a message is processed that carried that."""
        links = [_context_of({"traceparent": each}) for each in carried.get(LINKS, "").split(",") if each]
        with self._tracer.start_as_current_span(
            f"process {queue}",
            W3C.extract(carried, Context()),
            SpanKind.CONSUMER,
            attributes={**_of_messaging(queue, "process", len(links) or 1), **attributes},
            links=[Link(context) for context in links if context.is_valid],
        ) as span:
            yield span

    def note(self, name: str, attributes: Attributes) -> None:
        """An event of the current span."""
        trace.get_current_span().add_event(name, attributes)


def ids_in_logs() -> dict[str, str]:
    """The ids of this thread's span, as log lines name them."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


def _of_messaging(queue: str, operation: str, messages: int) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.system": "celeriac" if queue.startswith(CALLS) else "rabbitmq",
        "messaging.destination.name": queue,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    if messages > 1:
        attributes["messaging.batch.message_count"] = messages
    return attributes


def _traceparent(span: Span) -> str:
    carried: dict[str, str] = {}
    W3C.inject(carried, trace.set_span_in_context(span, Context()))
    return carried.get("traceparent", "")


def _context_of(carried: Mapping[str, str]) -> trace.SpanContext:
    return trace.get_current_span(W3C.extract(carried, Context())).get_span_context()
