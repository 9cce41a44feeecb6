"""Logging of every process: one line an event, to standard error."""

from __future__ import annotations

import logging

from production_server.settings import Settings

# Libraries that log every step at INFO.
QUIET = ("celery", "kombu", "alembic", "amqp")


def set_up_logs(settings: Settings) -> None:
    """Log to standard error from `LOG_LEVEL` on; libraries only from WARNING on, unless all is to be seen."""
    level = settings.log_level.upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(level if level == "DEBUG" else "WARNING")
    # A worker that stops gives its chunks back by an exception, which Celery logs as a warning with a traceback.
    logging.getLogger("celery.app.trace").setLevel(level if level == "DEBUG" else "ERROR")
    # Embedded mode has no broker host on purpose.
    logging.getLogger("kombu.connection").addFilter(lambda record: "No hostname" not in record.getMessage())
