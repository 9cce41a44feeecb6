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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from production_server.broker.links import LocalLink
from production_server.broker.local_queue import LocalQueue
from production_server.broker.transport import Transport
from production_server.descriptors import room_for
from production_server.jobs.workers import alive_workers
from production_server.loop import Loop
from production_server.parts import SharedParts
from production_server.retraining.policies import policies_in
from production_server.run.address import listen
from production_server.run.certificate import LOOK_EVERY_S, Certificate
from production_server.run.exposure import must_have_key
from production_server.run.guarded_http import MAX_CONNECTIONS, Crowd, GuardedHttp
from production_server.run.guarded_tls import GuardedTls
from production_server.run.streams import Streams, open_streams
from production_server.run.trainings import Trainings
from production_server.settings import Settings
from production_server.tracing import create_tracing
from production_server.web.app import create_front
from production_server.web.edge.parts import WebParts, build_parts
from production_server.web.edge.to_https import ToHttps
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
FIND_EVERY_S = 1.0
"""How often it is looked which workers there are."""
IDLE_S = 75
"""How long a connection is kept for the next request: longer than the proxies in front of a server keep theirs."""


def serve(
    settings: Settings,
    listening: Sequence[socket.socket],
    certificate: Certificate | None,
    *,
    metrics_folder: Path,
) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand and the embedded worker's batches are finished first.

    `listening`: the sockets of PORT and, if there is one, HTTP_PORT.
    `certificate`: what PORT speaks https with, if it does.
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
        parts = build_parts(
            settings,
            shared,
            metrics_folder=metrics_folder,
            must_have_key=must_have_key(settings, listening),
        )
        # Calls on the event loop never wait for it: the first ones shall find it known.
        parts.standings.look_if_possible()
        shared.start()
        running.callback(shared.stop)
        parts.keys.start()
        running.callback(parts.keys.close)
        parts.recorder.start()
        running.callback(parts.recorder.close)
        parts.limits.start()
        running.callback(parts.limits.close)
        parts.metrics.start()
        running.callback(parts.metrics.close)
        if settings.is_embedded:
            _read_streams(shared, running)
            _train(shared, running)
        else:
            finding = Loop("workers", partial(_find_workers, shared), pause_s=FIND_EVERY_S)
            finding.start()
            running.callback(finding.stop)
        if certificate is not None:
            looking = Loop("certificate", certificate.look, pause_s=LOOK_EVERY_S)
            looking.start()
            running.callback(looking.stop)
        server = _WebServer(create_front(parts), parts, certificate)
        _collect_garbage_rarely()
        sys.setswitchinterval(TURN_S)
        server.run(sockets=list(listening))


class _WebServer(uvicorn.Server):
    """uvicorn with this process's signals, and with a second port where there is one."""

    def __init__(self, front: Front, parts: WebParts, certificate: Certificate | None) -> None:
        settings = parts.settings
        crowd = Crowd(most=room_for(MAX_CONNECTIONS))
        plain = partial(GuardedHttp, crowd=crowd)
        speaking = plain if certificate is None else partial(GuardedTls, crowd=crowd, certificate=certificate)
        super().__init__(_config(front, speaking, settings))
        self._scheme = "http" if certificate is None else "https"
        self._redirecting = _config(ToHttps(parts.sites, port=settings.port), plain, settings)
        # Several web processes would all say it, and a log that is read by programs has no room for it.
        self._is_watched = (
            settings.web_processes == 1 and settings.log_format == "text" and sys.stderr.isatty()
        )
        self._repository = settings.models_repository
        self._caller = parts.caller
        # Some requests wait for jobs.
        self._on_stop = parts.let_nobody_wait
        self._leave_after_s = settings.drain_s * LEAVE_AT
        self._stop_within_s = settings.drain_s + EXTRA_STOP_S

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._caller.start()
        first, *second = sockets or []
        for listening in (first, *second):
            listen(listening)
        await super().startup([first])
        url = _url(first, self._scheme)
        log.info("listening on %s", url)
        for listening in second:
            await self._redirect(listening)
        if self._repository is not None:
            log.info(
                "models are taken by git push: git remote add production %s; git push production main",
                self._repository,
            )
        if self._is_watched:
            sys.stderr.write(f"\nCeleriac answers at {url}/predictions; Ctrl-C stops it.\n\n")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._caller.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order, where uvicorn would raise the signal once more in the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    async def _redirect(self, listening: socket.socket) -> None:
        """Send clients of this port on to the first one."""
        self._redirecting.load()
        speaking: Callable[..., asyncio.Protocol] = self._redirecting.http_protocol_class
        connection = partial(
            speaking,
            config=self._redirecting,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        server = await asyncio.get_running_loop().create_server(connection, sock=listening)
        self.servers.append(server)
        log.info("listening on %s, to send clients on", _url(listening, "http"))

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


def _config(app: Any, speaking: Callable[..., asyncio.Protocol], settings: Settings) -> uvicorn.Config:
    """How an application is served to connections of this kind."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=speaking,  # type: ignore[arg-type]  # any callable will do, whatever its type says
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


def _find_workers(shared: SharedParts) -> bool:
    """A step of a `Loop`: have interactive calls go to those workers that live.

    Raises:
        Unavailable: the database does not answer; those that are known will do.
    """
    shared.transport.link.know(alive_workers(shared.database))
    return False


def _url(listening: socket.socket, scheme: str) -> str:
    host, port, *_ = listening.getsockname()
    shown = f"[{host}]" if listening.family == socket.AF_INET6 else host
    return f"{scheme}://{shown}:{port}"


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


def _read_streams(shared: SharedParts, running: contextlib.ExitStack) -> None:
    """Read the streams of STREAMS_FILE until the end of `running`; beside a broker a process of its own does."""
    rules = open_streams(shared.settings)
    if rules:
        streams = Streams(shared, rules)
        streams.start()
        running.callback(streams.close)


def _train(shared: SharedParts, running: contextlib.ExitStack) -> None:
    """Train as LEARNING_FILE says until the end of `running`; beside a broker a process of its own does."""
    policies = policies_in(shared.settings.learning_file)
    if policies:
        trainings = Trainings(shared, policies)
        trainings.start()
        running.callback(trainings.close)


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
