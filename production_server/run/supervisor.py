"""Web processes and workers as children of one, which restarts those that die."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from production_server.run.shared_metrics import VARIABLE as METRICS_VARIABLE
from production_server.run.shared_metrics import shared_metrics
from production_server.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
RESTART_AFTER_S = 1.0
PARENT_PIPE_VARIABLE = "CELERIAC_PARENT_PIPE"
"""Names the descriptor of a pipe that closes when the parent dies, however it dies."""
SOCKETS_VARIABLE = "CELERIAC_SOCKETS"
"""Names the descriptors of the sockets that all web processes listen on."""


@dataclass(slots=True)
class Child:
    """One process of the service; `number` tells those of one role apart, the only web process has 0."""

    role: str
    number: int
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.role} {self.number}" if self.number else self.role

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "production_server", self.role]


@dataclass(slots=True)
class Supervisor:
    """Starts children, restarts those that die, and stops them all on SIGTERM or SIGINT."""

    settings: Settings
    environ: Mapping[str, str]
    addresses: Sequence[socket.socket]
    """Taken already; the web processes listen on them."""
    children: list[Child]
    _stop: threading.Event = field(default_factory=threading.Event)
    _pipe: tuple[int, int] = field(default_factory=os.pipe)

    def run(self) -> int:
        """Block until a stop is asked for; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        with shared_metrics() as folder:
            self.environ = {**self.environ, METRICS_VARIABLE: str(folder)}
            for child in self.children:
                self._start(child)
            while not self._stop.wait(LOOK_EVERY_S):
                for child in self.children:
                    self._look_at(child)
            return self._end()

    def _start(self, child: Child) -> None:
        handed = [self._pipe[0]]
        environ = {**self.environ, PARENT_PIPE_VARIABLE: str(self._pipe[0])}
        if child.role == "web":
            descriptors = [address.fileno() for address in self.addresses]
            environ[SOCKETS_VARIABLE] = " ".join(map(str, descriptors))
            handed += descriptors
        else:
            environ |= self._own_names(child) if child.role == "worker" else {}
            del environ[METRICS_VARIABLE]
        # A session of their own: Ctrl-C reaches this process alone, which then stops them in order.
        child.process = subprocess.Popen(child.command, env=environ, pass_fds=handed, start_new_session=True)
        child.started_at = time.monotonic()

    def _own_names(self, worker: Child) -> dict[str, str]:
        """What no two workers may share."""
        names = {}
        if self.settings.worker_name:
            names["WORKER_NAME"] = f"{self.settings.worker_name}-{worker.number}"
        if self.settings.metrics_port:
            names["METRICS_PORT"] = str(self.settings.metrics_port + worker.number)
        if self.settings.calls_listen is not None:
            first = self.settings.calls_listen
            names["CALLS_LISTEN"] = str(replace(first, port=first.port + worker.number))
        return names

    def _look_at(self, child: Child) -> None:
        code = child.process.poll() if child.process else None
        if code is not None and time.monotonic() - child.started_at > RESTART_AFTER_S:
            log.error("%s ended with %s: starting it again", child.name, code)
            try:
                self._start(child)
            except OSError as exc:
                # No process, memory or file is left: a supervisor that ended now would take the others along.
                log.error("%s does not start: %s; trying on", child.name, exc)
                child.started_at = time.monotonic()

    def _end(self) -> int:
        """Ask all to stop; kill those that take longer than the drain."""
        for address in self.addresses:
            address.close()
        alive = [child.process for child in self.children if child.process and child.process.poll() is None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + self.settings.drain_s + 10
        for process in alive:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("killing process %d: it did not stop in time", process.pid)
                process.kill()
                process.wait()
        return 0


def web_children(settings: Settings) -> list[Child]:
    """The web processes that the settings ask for."""
    count = settings.web_processes
    return [Child("web", n) for n in range(1, count + 1)] if count > 1 else [Child("web", 0)]


def worker_children(settings: Settings) -> list[Child]:
    """The workers that the settings ask for."""
    return [Child("worker", n) for n in range(1, settings.workers + 1)]


def stream_children(settings: Settings) -> list[Child]:
    """The process that reads streams, where there are any."""
    return [] if settings.streams_file is None else [Child("stream", 0)]


def trainer_children(settings: Settings) -> list[Child]:
    """The process that trains models again, where policies say so."""
    return [] if settings.learning_file is None else [Child("trainer", 0)]


def handed_sockets(environ: Mapping[str, str]) -> list[socket.socket]:
    """In a child of a `Supervisor`: the sockets to listen on."""
    texts = environ.get(SOCKETS_VARIABLE, "").split()
    return [socket.socket(fileno=int(text)) for text in texts if text.isdigit()]


def die_with_parent(environ: Mapping[str, str]) -> None:
    """In a child of a `Supervisor`: end this process when the parent is gone. Elsewhere it does nothing."""
    text = environ.get(PARENT_PIPE_VARIABLE, "")
    if not text.isdigit():
        return
    # The parent alone holds the writing end open; reading returns when it is closed.
    descriptor = int(text)

    def watch() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
