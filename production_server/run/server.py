"""The web server: granian around the Flask app, alone or with an embedded worker in the same process."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import Celery
from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server

from production_server.broker.app import create_celery
from production_server.run.logs import set_up_logs
from production_server.settings import Settings
from production_server.tracing import create_tracing
from production_server.web.app import create_front
from production_server.web.interactive.front import Front
from production_server.web.parts import build_parts

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

log = logging.getLogger(__name__)

GARBAGE_OBJECTS = 100_000
"""How many more objects than now there may be before the garbage collector looks at the new ones; Python's is 700."""
GRANIAN_LOGS = {"loggers": {"_granian": {"propagate": True}}, "handlers": {}}
"""Its errors are logged as all others are."""
EXTRA_STOP_S = 5
"""What a stop may take longer than the drain before the web process is killed."""


def serve(settings: Settings, *, metrics_folder: Path) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand and the embedded worker's batches are finished first.

    `metrics_folder`: where the web processes tell each other what they count.
    """
    stopping = _Stopping()
    # One process, so that the embedded worker exists once.
    server = Server(
        "celeriac",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        workers=1,
        loop=Loops.uvloop,
        log_level=LogLevels.error,
        log_dictconfig=GRANIAN_LOGS,
        workers_kill_timeout=settings.drain_s + EXTRA_STOP_S,
    )

    def load() -> Front:
        return _load(settings, stopping, metrics_folder)

    where = f"[{settings.host}]" if ":" in settings.host else settings.host
    server.on_startup(stopping.watch)
    server.on_startup(lambda: log.info("listening on http://%s:%d", where, settings.port))
    server.serve(target_loader=load, wrap_loader=False)


def _load(settings: Settings, stopping: _Stopping, metrics_folder: Path) -> Front:
    """Runs once in granian's child process, before it answers."""
    set_up_logs(settings)
    _die_with_parent(metrics_folder)
    tracing = create_tracing(settings, "web")
    if tracing is not None:
        # Registered first, it is done last.
        _at_exit(tracing.close)
    app = create_celery(settings)
    if settings.is_embedded:
        _start_embedded_worker(settings, app, tracing)
    parts = build_parts(settings, app, metrics_folder=metrics_folder, tracing=tracing)
    stopping.react(parts.waiting_room.close)
    parts.caller.start()
    _at_exit(parts.caller.close)
    parts.metrics.start()
    _at_exit(parts.metrics.close)
    front = create_front(parts)
    _collect_garbage_rarely()
    return front


def _collect_garbage_rarely() -> None:
    """Keep the collector from looking at ten thousand uploads again and again: it took 30 % of such a request's time.

    Nothing here leaves cycles by the thousand; what does is still found, later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def _start_embedded_worker(settings: Settings, app: Celery, tracing: Tracing | None) -> None:
    # Imported here: a web process beside a broker must not load a model runtime.
    from production_server.worker.embedded import EmbeddedWorker

    worker = EmbeddedWorker(settings, app, tracing=tracing)
    worker.start()
    _at_exit(worker.stop)


class _Stopping:
    """Tells the child process that a stop is asked for: granian waits for requests in hand, and some wait for jobs.

    Made in the main process, before there is a child.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def watch(self) -> None:
        """In the main process: pass on what granian itself reacts to; it has its handlers in place by now."""
        for number in (signal.SIGTERM, signal.SIGINT):
            granians: Any = signal.getsignal(number)
            signal.signal(number, partial(self._pass_on, granians))

    def _pass_on(self, granians: Callable[[int, object], None], number: int, frame: object) -> None:
        os.write(self._writing, b".")
        granians(number, frame)

    def react(self, do: Callable[[], None]) -> None:
        """In the child process: run `do` in a thread when a stop is asked for."""

        def wait_for_it() -> None:
            os.read(self._reading, 1)
            do()

        threading.Thread(target=wait_for_it, name="stop-watch", daemon=True).start()


def _at_exit(stop: Callable[[], None]) -> None:
    """Run `stop` when this child process ends in order: atexit handlers do not run in multiprocessing's children."""
    Finalize(None, stop, exitpriority=10)


def _die_with_parent(metrics_folder: Path) -> None:
    """End this process when granian's main process is killed: an orphan would keep the port and the state folder.

    It clears away what that process cannot any more.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        shutil.rmtree(metrics_folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
