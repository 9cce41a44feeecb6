"""The folder in memory through which web processes know of each other's metrics."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_MEMORY = "/dev/shm"  # noqa: S108  # a folder of this process's own is made there
PREFIX = "celeriac-metrics-"
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Prometheus' client looks whether it shall share, and where, when it is first imported."""


@contextmanager
def shared_metrics() -> Iterator[Path]:
    """A fresh folder while web processes run; it is removed in the end, and so are those of killed ones."""
    # Not on a disk: a process that writes to a mapped file is killed when there is no room.
    place = Path(IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*"):
        if not _is_alive(left.name.removeprefix(PREFIX).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=place) as folder:
        yield Path(folder)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True
