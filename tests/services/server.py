"""The service itself, in processes of its own, as `make run` starts it; a test may stop, kill and start it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.services.processes import ServiceError, end, free_ports, spawn, temporary_directory, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


class RunningServer:
    """One service with its own port and state; without BROKER_URL and DATABASE_URL it is embedded."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self._directory = directory
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process that a test may signal; None while the service is down."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """What the service has written so far."""
        return (self._directory / "output.log").read_text()

    def start(self) -> Self:
        """Start the service, with what it stored before, and wait until it is ready."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "production_server", "run"]
            self._process = spawn(command, directory=self._directory, env=self._env())
            wait_until(self._is_ready, what="the service is ready")
        return self

    def stop(self) -> None:
        """Stop the service as an operator would: it finishes what it has in hand."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the service at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def _is_ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise ServiceError(f"the service did not start:\n{self.log}")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, by=by, timeout_s=40)
            self._process = None

    def _env(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.endswith("_PROXY")}
        own = {"PYTHONPATH": str(ROOT), "HOST": "127.0.0.1", "PORT": str(self._port)}
        state = {"STATE_DIR": str(self._directory / "state"), "BROKER_URL": "", "DATABASE_URL": ""}
        return {**inherited, **own, **state, **self._settings}


@contextlib.contextmanager
def running_server(**settings: str) -> Iterator[RunningServer]:
    """A service that is ready; settings are environment variables. Afterwards its processes and files are gone."""
    with temporary_directory("service") as directory:
        server = RunningServer(directory, settings)
        try:
            yield server.start()
        finally:
            server.stop()
