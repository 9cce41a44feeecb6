"""The folder in memory through which web processes know of each other's metrics."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_MEMORY = "/dev/shm"  # noqa: S108  # a folder of this process's own is made there


@contextmanager
def shared_metrics() -> Iterator[Path]:
    """A fresh folder while web processes run; it is removed in the end.

    Enter it before Prometheus' client is first imported, which is when that looks whether it shall share.
    """
    # Not on a disk: a process that writes to a mapped file is killed when there is no room.
    place = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="celeriac-metrics-", dir=place) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield Path(folder)
