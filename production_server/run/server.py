"""The web server: uvicorn around the web process's ASGI application, alone or with an embedded worker."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from production_server.broker.links import LocalLink
from production_server.broker.local_queue import LocalQueue
from production_server.broker.transport import Transport
from production_server.descriptors import room_for
from production_server.parts import SharedParts
from production_server.run.address import listen
from production_server.run.guarded_http import MAX_CONNECTIONS, Crowd, GuardedHttp
from production_server.settings import Settings
from production_server.tracing import create_tracing
from production_server.web.app import create_front
from production_server.web.edge.parts import build_parts
from production_server.web.interactive.front import Front

if TYPE_CHECKING:
    from production_server.tracing.spans import Tracing

log = logging.getLogger(__name__)

GARBAGE_OBJECTS = 100_000
"""How many more objects than now there may be before the garbage collector looks at the new ones; Python's is 700."""
EXTRA_STOP_S = 5
"""What a stop may take longer than the drain before the process ends all the same."""
LEAVE_AT = 0.9
"""After so much of the drain clients are left that send slowly or do not read."""
TURN_S = 0.0005
"""How long a thread may have the interpreter while others want it; Python's 5 ms are what an event waits for each of
them, and uvloop takes it anew for each event."""
IDLE_S = 75
"""How long a connection is kept for the next request: longer than the proxies in front of a server keep theirs."""


def serve(settings: Settings, listening: socket.socket, *, metrics_folder: Path) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand and the embedded worker's batches are finished first.

    `metrics_folder`: where the web processes tell each other what they count.
    """
    with contextlib.ExitStack() as running:
        tracing = create_tracing(settings, "web")
        if tracing is not None:
            running.callback(tracing.close)
        if settings.is_embedded:
            shared = _with_worker(settings, tracing, running)
        else:
            shared = SharedParts.build(settings, tracing=tracing)
        parts = build_parts(settings, shared, metrics_folder=metrics_folder)
        parts.caller.start()
        running.callback(parts.caller.close)
        parts.keys.start()
        running.callback(parts.keys.close)
        parts.limits.start()
        running.callback(parts.limits.close)
        parts.metrics.start()
        running.callback(parts.metrics.close)
        server = _WebServer(create_front(parts), settings, on_stop=parts.let_nobody_wait)
        _collect_garbage_rarely()
        sys.setswitchinterval(TURN_S)
        server.run(sockets=[listening])


class _WebServer(uvicorn.Server):
    """uvicorn with this process's signals. `on_stop` runs when a stop is asked for: some requests wait for jobs."""

    def __init__(self, front: Front, settings: Settings, *, on_stop: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                front,
                loop="uvloop",
                # Any callable will do, whatever its type says.
                http=partial(GuardedHttp, crowd=Crowd(most=room_for(MAX_CONNECTIONS))),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                log_config=None,
                log_level=logging.ERROR,
                access_log=False,
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=settings.drain_s,
            )
        )
        # Several web processes would all say it, and a log that is read by programs has no room for it.
        self._is_watched = (
            settings.web_processes == 1 and settings.log_format == "text" and sys.stderr.isatty()
        )
        self._on_stop = on_stop
        self._leave_after_s = settings.drain_s * LEAVE_AT
        self._stop_within_s = settings.drain_s + EXTRA_STOP_S

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in sockets or []:
            listen(listening)
        await super().startup(sockets)
        for listening in sockets or []:
            log.info("listening on %s", _url(listening))
            if self._is_watched:
                sys.stderr.write(f"\nCeleriac answers at {_url(listening)}/predictions; Ctrl-C stops it.\n\n")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order, where uvicorn would raise the signal once more in the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _leave_all(self) -> None:
        """Leave who still sends or does not read: uvicorn would cancel what waits for them, with a traceback each."""
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()

    def _stop(self) -> None:
        # Asked a second time, it waits for nobody.
        self.force_exit = self.should_exit
        self.should_exit = True
        self._on_stop()
        asyncio.get_running_loop().call_later(self._leave_after_s, self._leave_all)
        last_resort = threading.Timer(self._stop_within_s, _end_anyway)
        last_resort.daemon = True
        last_resort.start()


def _url(listening: socket.socket) -> str:
    host, port, *_ = listening.getsockname()
    return f"http://[{host}]:{port}" if listening.family == socket.AF_INET6 else f"http://{host}:{port}"


def _end_anyway() -> None:
    log.error("something did not stop in time: ending all the same")
    os._exit(1)


def _collect_garbage_rarely() -> None:
    """Keep the collector from looking at ten thousand uploads again and again: it took 30 % of such a request's time.

    Nothing here leaves cycles by the thousand; what does is still found, later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def _with_worker(settings: Settings, tracing: Tracing | None, running: contextlib.ExitStack) -> SharedParts:
    """The parts of a process that has a worker in it, which runs until the end of `running`."""
    # Imported here: a web process beside a broker must not load a model runtime.
    from production_server.worker.embedded import EmbeddedWorker

    queue, link = LocalQueue(tracing=tracing), LocalLink()
    shared = SharedParts.build(settings, Transport(queue, link), tracing=tracing)
    running.callback(shared.close)
    worker = EmbeddedWorker(shared, queue, link)
    worker.start()
    running.callback(worker.stop)
    return shared
