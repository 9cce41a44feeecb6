from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable

import pytest

from production_server.run.logs import _json, _Text

LOG_A_FAILURE = """
import logging, os
from production_server.run.logs import set_up_logs
from production_server.settings import read_settings
from production_server.work_in_hand import working_on

set_up_logs(read_settings(os.environ), worker="lab-1")
log = logging.getLogger("somewhere")
with working_on(request_id="r1"), working_on(job="j1"):
    try:
        int("no number")
    except ValueError:
        log.exception("it failed\\nbadly: %s", {"a": 1})
log.warning("later", extra={"request_id": "r2"})
"""


def logged(**settings: str) -> list[str]:
    """The lines that a process has logged."""
    environ = {"PYTHONPATH": ":".join(sys.path)} | settings
    command = [sys.executable, "-c", LOG_A_FAILURE]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, check=True, timeout=60
    ).stderr.splitlines()


def test_as_json_each_event_is_one_line_with_what_it_is_about() -> None:
    failure, later = (json.loads(line) for line in logged(LOG_FORMAT="json"))

    assert (failure["level"], failure["logger"]) == ("ERROR", "somewhere")
    assert failure["message"] == "it failed\nbadly: {'a': 1}"
    assert "ValueError: invalid literal" in failure["exc_info"]
    assert (failure["request_id"], failure["job"], failure["worker"]) == ("r1", "j1", "lab-1")
    assert failure["time"].startswith("20") and failure["process"] > 0
    assert (later["request_id"], "job" in later) == ("r2", False)


def test_as_text_a_line_ends_with_what_it_is_about() -> None:
    lines = logged()

    assert lines[0].endswith(
        " ERROR somewhere: it failed\\nbadly: {'a': 1} [request_id=r1 job=j1 worker=lab-1]"
    )
    assert lines[-2].endswith("ValueError: invalid literal for int() with base 10: 'no number'")
    assert lines[-1].endswith(" WARNING somewhere: later [request_id=r2 worker=lab-1]")


def test_lines_within_a_span_name_it_where_there_are_traces() -> None:
    script = (
        LOG_A_FAILURE
        + """
from opentelemetry.sdk.trace import TracerProvider
from production_server.tracing.spans import Tracing
with Tracing(TracerProvider(shutdown_on_exit=False)).processing("queue", {}, {}):
    log.warning("inside")
"""
    )
    environ = {"PYTHONPATH": ":".join(sys.path), "LOG_FORMAT": "json", "OTEL_TRACES_EXPORTER": "console"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    inside = json.loads(done.stderr.splitlines()[-1])

    assert len(inside["trace_id"]) == 32 and len(inside["span_id"]) == 16


# What ends a line somewhere, what a terminal obeys, and what cannot be seen.
CONTROLS = "\n\r\t\v\f\0\x1b\x7f\x85\x9b\u2028\u2029\u202e\u200b\ufeff\ud800"
FORGED = f"2026-01-01 00:00:00,000 INFO production_server.access.audit: root made a key{CONTROLS}"


def failed_with(message: str, *arguments: object, error: Exception) -> logging.LogRecord:
    """A record with a traceback, and with what is known of its request."""
    try:
        raise error
    except type(error):
        record = logging.LogRecord("somewhere", logging.ERROR, "", 1, message, arguments, sys.exc_info())
    record.request_id = f"r1\n{FORGED}"
    return record


@pytest.mark.parametrize("make", [_Text, _json], ids=["text", "json"])
def test_nothing_from_outside_begins_a_line_of_the_log_or_is_obeyed_by_a_terminal(
    make: Callable[[], logging.Formatter],
) -> None:
    record = failed_with("%s failed", f"a.png\n{FORGED}", error=ValueError(f"bad\n{FORGED}"))

    first, *more = make().format(record).split("\n")

    assert "a.png\\n2026-01-01" in first and "request_id" in first
    assert all(line.startswith("  ") for line in more)
    assert all(line.isprintable() for line in (first, *more))
