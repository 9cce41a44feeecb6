"""The service itself, as a user starts it: `python -m production_server run` in processes of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from testing.processes import ServiceError, end, free_ports, spawn, wait_until
from testing.web_service import WebService

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SETTINGS = {"LEASE_S": "2", "DRAIN_S": "5"}


class Celeriac(WebService):
    """One service with its state in `directory`; a test may stop, kill and start it."""

    command = "run"

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        (self.port,) = free_ports(1)
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.settings = SETTINGS | settings
        self._log_from = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """The main process, from which all others descend."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What all processes of the service have logged, since it was last forgotten."""
        return self._log_file.read_bytes()[self._log_from :].decode()

    def forget_log(self) -> None:
        """Let `log` begin here, for a test that shares the service with others."""
        self._log_from = self._log_file.stat().st_size

    def start(self, *, wait: bool = True) -> Self:
        """Start the service and wait until it is ready."""
        self._process = spawn(
            [sys.executable, "-m", "production_server", self.command],
            directory=self.directory,
            env=self._env(),
            log="celeriac.log",
        )
        if wait:
            self.wait_until_ready()
        return self

    def also(self, role: str) -> subprocess.Popen[bytes]:
        """Start one more process of a role beside those that the service has, as on another machine."""
        other = spawn(
            [sys.executable, "-m", "production_server", role],
            directory=self.directory,
            env=self._env(),
            log=f"{role}-{len(self._others)}.log",
        )
        self._others.append(other)
        return other

    def stop(self) -> int:
        """Ask the service to stop, as Ctrl-C does, and wait for its end; returns the exit code."""
        assert self._process is not None
        end(self._process, by=signal.SIGTERM)
        return self._process.returncode

    def kill(self) -> None:
        """End the main process at once, as `kill -9` does; the others must follow it."""
        assert self._process is not None
        orphans = self.children()
        end(self._process, by=signal.SIGKILL)
        wait_until(lambda: not any(_is_alive(pid) for pid in orphans), what="the children have ended")

    def close(self) -> None:
        """End everything that was started."""
        self.web.close()
        for other in self._others:
            if other.poll() is None:
                end(other, by=signal.SIGTERM)
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def children(self, role: str = "") -> list[int]:
        """The process ids of the service's children, all or those of one role (`worker`, `web`)."""
        assert self._process is not None
        found = subprocess.run(
            ["pgrep", "-P", str(self._process.pid), "-f", f"production_server {role}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(pid) for pid in found.stdout.split()]

    def is_ready(self) -> bool:
        """Whether /readyz says yes.

        Raises:
            ServiceError: The service has ended.
        """
        if self._process is not None and self._process.poll() is not None:
            raise ServiceError(f"the service did not start:\n{self.log}")
        return super().is_ready()

    @property
    def _log_file(self) -> Path:
        return self.directory / "celeriac.log"

    def _env(self) -> dict[str, str]:
        # Coverage measures the service's processes too, where the tests run under it.
        kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COV")}
        state = str(self.directory / "state")
        return kept | {"PYTHONPATH": str(ROOT), "PORT": str(self.port), "STATE_DIR": state} | self.settings


@contextlib.contextmanager
def celeriac(directory: Path, **settings: str) -> Iterator[Celeriac]:
    """A running service; afterwards its processes are gone."""
    service = Celeriac(directory, **settings)
    try:
        yield service.start()
    finally:
        service.close()


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
