"""A public git server: `git daemon` on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from testing.processes import end, free_ports, spawn, temporary_directory, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def git_daemon(folder: Path, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve every repository of a folder; yields the URL of the folder."""
    (port,) = free_ports(1)
    command = ["git", "daemon", "--export-all", f"--base-path={folder}", f"--listen={host}", f"--port={port}"]
    with temporary_directory("git") as directory:
        process = spawn([*command, "--reuseaddr", str(folder)], directory=directory, env=dict(os.environ))
        try:
            wait_until(lambda: _listens(host, port), what="git daemon listens")
            yield f"git://{host}:{port}"
        finally:
            end(process)


def _listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
