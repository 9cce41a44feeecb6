"""`run` beside a broker: one web process and several workers as children of one, restarted when they die."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from production_server.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
RESTART_AFTER_S = 1.0
PARENT_PIPE_VARIABLE = "CELERIAC_PARENT_PIPE"
"""Names the descriptor of a pipe that closes when the parent dies, however it dies."""


@dataclass(slots=True)
class Child:
    """One process of the service; `number` tells workers apart, web has 0."""

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
    children: list[Child] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _pipe: tuple[int, int] = field(default_factory=os.pipe)

    def run(self) -> int:
        """Block until a stop is asked for; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        self.children = [Child("web", 0)] + [Child("worker", n + 1) for n in range(self.settings.workers)]
        for child in self.children:
            self._start(child)
        while not self._stop.wait(LOOK_EVERY_S):
            for child in self.children:
                self._look_at(child)
        return self._end()

    def _start(self, child: Child) -> None:
        environ = {**self.environ, PARENT_PIPE_VARIABLE: str(self._pipe[0])}
        if self.settings.worker_name:
            environ["WORKER_NAME"] = f"{self.settings.worker_name}-{child.number}"
        if self.settings.metrics_port:
            environ["METRICS_PORT"] = str(self.settings.metrics_port + child.number)
        # A session of their own: Ctrl-C reaches this process alone, which then stops them in order.
        child.process = subprocess.Popen(
            child.command, env=environ, pass_fds=(self._pipe[0],), start_new_session=True
        )
        child.started_at = time.monotonic()

    def _look_at(self, child: Child) -> None:
        code = child.process.poll() if child.process else None
        if code is not None and time.monotonic() - child.started_at > RESTART_AFTER_S:
            log.error("%s ended with %s: starting it again", child.name, code)
            self._start(child)

    def _end(self) -> int:
        """Ask all to stop; kill those that take longer than the drain."""
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
