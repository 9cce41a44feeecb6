"""Traces by OpenTelemetry, for those who ask for them by OTEL_* variables; otherwise none of it is imported or done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from production_server.settings import Settings

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing


def create_tracing(settings: Settings, role: str) -> Tracing | None:
    """What this process traces with, or None. Only in the process that will use it: it starts a thread."""
    if not settings.traces:
        return None
    # Imported here: it takes 80 to 190 ms and 10 MB.
    from production_server.tracing.export import exporting

    return exporting(settings.traces, service=f"celeriac-{role}")
