"""Where spans go: by OTLP over HTTP to a collector, or to the console.

The SDK itself reads the other OTEL_* variables: names, headers, certificates, sampling.
"""

from __future__ import annotations

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from production_server.tracing.spans import Tracing


def exporting(to: str, *, service: str) -> Tracing:
    """Spans go `to` "otlp" or "console", in a thread; as from `service`, unless OTEL_SERVICE_NAME says another name."""
    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(to)))
    return Tracing(provider)


def _resource(service: str) -> Resource:
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return resource.merge(Resource({SERVICE_NAME: service}))
    return resource


def _exporter(to: str) -> SpanExporter:
    if to == "console":
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
