"""Logging of every process, to standard error: one line an event, as text or as JSON.

Names, paths and errors are from outside: no character of theirs begins a line, or moves a terminal's cursor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

import click

from production_server.access import audit
from production_server.settings import Settings
from production_server.shown import visible
from production_server.work_in_hand import work_in_hand

# Libraries that log every step at INFO.
QUIET = ("celery", "kombu", "alembic", "amqp", "azure")
FIELDS = ("request_id", "job", "worker", "trace_id", "span_id")
"""What a text line names after its message, if it is known; a JSON line has each as a member."""


def set_up_logs(settings: Settings, **of_process: str) -> None:
    """Log from `LOG_LEVEL` on; libraries only from WARNING on, unless all is to be seen.

    `of_process` is what each line shall say, such as the worker's name.
    """
    level = settings.log_level.upper()
    handler = logging.StreamHandler()
    handler.setFormatter(_json() if settings.log_format == "json" else _Text())
    handler.addFilter(_Fields(of_process, _ids_of_span(settings)))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(level if level == "DEBUG" else "WARNING")
    # A worker that stops gives its chunks back by an exception, which Celery logs as a warning with a traceback.
    logging.getLogger("celery.app.trace").setLevel(level if level == "DEBUG" else "ERROR")
    # Embedded mode has no broker host on purpose.
    logging.getLogger("kombu.connection").addFilter(lambda record: "No hostname" not in record.getMessage())


def quiet_audit(context: click.Context) -> None:
    """Have the audit tell the log nothing of a command: whoever types it sees what it does; the table has the line."""
    log = logging.getLogger(audit.__name__)
    context.call_on_close(partial(log.setLevel, log.level))
    log.setLevel(logging.WARNING)


def _ids_of_span(settings: Settings) -> Callable[[], Mapping[str, str]]:
    if not settings.traces:
        return dict
    from production_server.tracing.spans import ids_in_logs

    return ids_in_logs


class _Fields(logging.Filter):
    """Adds to each record what is known of the work in hand; what the call itself says goes first."""

    def __init__(self, of_process: Mapping[str, str], of_span: Callable[[], Mapping[str, str]]) -> None:
        super().__init__()
        self._of_process = of_process
        self._of_span = of_span

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in {**self._of_process, **work_in_hand(), **self._of_span()}.items():
            record.__dict__.setdefault(name, value)
        return True


class _Text(logging.Formatter):
    """An event is one line, and only what belongs to it, such as a traceback, begins with a space."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        line, *traceback = super().format(record).split("\n")
        return "\n".join([line, *(f"  {visible(each)}" for each in traceback)])

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the base class's name
        known = record.__dict__
        fields = " ".join(f"{name}={known[name]}" for name in FIELDS if name in known)
        return visible(super().formatMessage(record) + (f" [{fields}]" if fields else ""))


def _json() -> logging.Formatter:
    # Imported here: it takes 30 ms.
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        ["levelname", "name", "message", "process", "threadName"],
        rename_fields={"levelname": "level", "name": "logger", "threadName": "thread"},
        timestamp="time",
    )
