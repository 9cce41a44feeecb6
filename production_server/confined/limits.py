"""What the process that reads foreign files may use: it does not outlive who started it, and reaches no network."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys
import threading
from dataclasses import dataclass

from production_server.confined.sockets import leave_network

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Limits:
    """Bounds of one import; `memory_bytes` are the process' own data, resident or not."""

    memory_bytes: int = 6 * 2**30
    timeout_s: float = 900.0
    read_bytes: int = 2**31 - 1
    """Of the file, or folder, of its weights, each."""
    written_bytes: int = 4 * 2**30
    """Of each file that is written: one that was unpacked may be larger than it came."""
    open_files: int = 256

    @property
    def cpu_s(self) -> int:
        """What all processors can do until the deadline: for when whoever asked is no longer able to end it."""
        return math.ceil(self.timeout_s) * (os.cpu_count() or 1)


def confine(limits: Limits) -> list[str]:
    """Take from this process what it does not need, for good; returns what the kernel does not let it take.

    Called before anything is imported that starts threads.
    """
    for kind, most in (
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, limits.written_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))
    # A file that grows too large is an error that can be told, and not a signal that kills.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _die_with_parent()
    return (
        [] if leave_network() else ["This machine's kernel lets no process give the network up: it was not."]
    )


def _die_with_parent() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def end_with_parent(descriptor: int) -> None:
    """End this process when nobody holds the other end of a pipe any more."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 1024):
                pass
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
