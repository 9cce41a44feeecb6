"""A service that versions are pushed to: the repository is there before it starts, and what hooks left is finished."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import production_server
from production_server.delivery.pushes import pushes_of
from production_server.delivery.records import Pushes
from production_server.delivery.repository import make_repository, repository_of
from production_server.loop import Loop
from production_server.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
LONGEST_S = 900.0
"""A reconciler that takes longer is ended; another one begins where it was."""


@contextmanager
def taking_pushes(settings: Settings, environ: Mapping[str, str]) -> Iterator[None]:
    """While the block runs, the repository is there, and what hooks left that died is finished; else it does nothing.

    Raises:
        SettingsError: the repository cannot be made.
    """
    if settings.models_repository is None:
        yield
        return
    path = repository_of(settings)
    make_repository(path, settings, environ)
    reconciler = _Reconciler(pushes_of(settings), path, settings, environ)
    looking = Loop("pushes", reconciler.look, pause_s=LOOK_EVERY_S)
    looking.start()
    try:
        yield
    finally:
        reconciler.close()
        looking.stop()


class _Reconciler:
    """Looks for pushes that nobody finishes: a few small files. Only then a process is started that knows models."""

    def __init__(self, pushes: Pushes, path: Path, settings: Settings, environ: Mapping[str, str]) -> None:
        self._pushes = pushes
        self._command = [
            sys.executable,
            "-P",
            "-m",
            "production_server",
            "repository",
            "reconcile",
            str(path),
        ]
        self._environ = {
            **environ,
            "STATE_DIR": str(settings.state_dir.absolute()),
            "PYTHONPATH": str(Path(production_server.__file__).parents[1]),
        }
        self._process: subprocess.Popen[str] | None = None
        self._said = ""

    def look(self) -> bool:
        """Finish what is left, if something is; never more at once."""
        is_left = any(not (push.is_over or push.is_being_received) for push in self._pushes.all())
        if not is_left and not self._pushes.has_left_drafts():
            return False
        self._process = subprocess.Popen(
            self._command, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            said, _ = self._process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            self.close()
            said, _ = self._process.communicate()
        if said != self._said:
            log.info("reconciling pushes: %s", "; ".join(said.splitlines()))
        self._said = said
        return False

    def close(self) -> None:
        """End a reconciler that runs: what it does is done in steps, each of which may be the last."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
