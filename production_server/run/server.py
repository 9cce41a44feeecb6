"""The web server: granian around the Flask app, alone or with an embedded worker in the same process."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.util import Finalize

from flask import Flask
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from production_server.broker.app import create_celery
from production_server.run.logs import set_up_logs
from production_server.settings import Settings
from production_server.web.app import create_app
from production_server.web.parts import build_parts

log = logging.getLogger(__name__)

GARBAGE_OBJECTS = 100_000
"""How many more objects than now there may be before the garbage collector looks at the new ones; Python's is 700."""
EXTRA_STOP_S = 5
"""What a stop may take longer than the drain before the web process is killed."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand and the embedded worker's batches are finished first."""
    # WSGI keeps one Python thread per request in hand; one process, so that the embedded worker exists once.
    server = Server(
        "celeriac",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=settings.web_threads,
        log_level=LogLevels.error,
        workers_kill_timeout=settings.drain_s + EXTRA_STOP_S,
    )

    def load() -> Flask:
        return _load(settings)

    where = f"[{settings.host}]" if ":" in settings.host else settings.host
    server.on_startup(lambda: log.info("listening on http://%s:%d", where, settings.port))
    server.serve(target_loader=load, wrap_loader=False)


def _load(settings: Settings) -> Flask:
    """Runs once in granian's child process, before it answers."""
    set_up_logs(settings)
    _die_with_parent()
    app = create_celery(settings)
    if settings.is_embedded:
        _start_embedded_worker(settings, app)
    parts = build_parts(settings, app)
    _when_asked_to_stop(parts.waiting_room.close)
    web = create_app(parts)
    _collect_garbage_rarely()
    return web


def _collect_garbage_rarely() -> None:
    """Keep the collector from looking at ten thousand uploads again and again: it took 30 % of such a request's time.

    Nothing here leaves cycles by the thousand; what does is still found, later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def _start_embedded_worker(settings: Settings, app: object) -> None:
    # Imported here: a web process beside a broker must not load a model runtime.
    from production_server.worker.embedded import EmbeddedWorker

    worker = EmbeddedWorker(settings, app)  # type: ignore[arg-type]  # a Celery app
    worker.start()
    _at_exit(worker.stop)


def _when_asked_to_stop(react: Callable[[], None]) -> None:
    """Run `react` in a thread at SIGTERM or SIGINT: granian waits for requests in hand, and some of them wait for jobs.

    granian puts its own handlers in place after this, and tells nobody; the wake-up descriptor hears of them all.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch() -> None:
        os.read(reading, 1)
        react()

    threading.Thread(target=watch, name="stop-watch", daemon=True).start()


def _at_exit(stop: Callable[[], None]) -> None:
    """Run `stop` when this child process ends in order: atexit handlers do not run in multiprocessing's children."""
    Finalize(None, stop, exitpriority=10)


def _die_with_parent() -> None:
    """End this process when granian's main process is killed: an orphan would keep the port and the state folder."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
