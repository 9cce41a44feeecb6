"""Training by a command of the operator's own, in a process that ends with this one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from production_server.confined.process import KEPT_VARIABLES
from production_server.retraining import child
from production_server.retraining.policies import DATA, MODEL, Bounds

LOG_BYTES = 64 * 1024
"""So much is kept of what a training writes, from its end."""
_MARKS = re.compile("|".join(map(re.escape, (DATA, MODEL))))
_LOOK_EVERY_S = 0.2
_CLOSES_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """How a training has ended."""

    failure: str
    """Why there is no file of a model; empty: there is one."""
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a training reads and writes. `scratch` stays for the next try, which may go on from a checkpoint in it."""

    data: Path
    model: Path
    scratch: Path
    """Its working directory, and place for what it keeps meanwhile."""


def train_by_command(
    command: Sequence[str],
    places: Places,
    bounds: Bounds,
    *,
    stopping: threading.Event,
    follow: Callable[[Callable[[], str]], None] = lambda _tail: None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Trained:
    """Run the command, which is to write the model's file; blocks. It is killed when `stopping` is set.

    `follow` gets what tells the end of its output at any time; `environment` is what it finds beside the usual.

    What an earlier try has left of the file is removed first, since nobody knows whether it is whole.
    """
    places.model.unlink(missing_ok=True)
    filled = [_filled(each, places) for each in command]
    reads, writes = os.pipe()
    log = _Tail(reads)
    follow(log.so_far)
    with _started(filled, places.scratch, bounds, writes, environment) as process:
        failure = _wait(process, bounds, stopping)
    if not failure and process.returncode:
        failure = _how(process.returncode)
    if not failure and not (places.model.is_file() and places.model.stat().st_size):
        failure = f"the training ended well, but wrote no file in the place of {MODEL}"
    return Trained(failure=failure, log=log.text())


class _Tail:
    """Reads all that is written, so that nobody waits for it, and keeps the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name="training-log", daemon=True)
        self._thread.start()

    def so_far(self) -> str:
        """What is kept by now."""
        return self._kept.decode(errors="replace")

    def text(self) -> str:
        """What is kept. A program that has left its process group may hold the pipe for ever: it is not waited for."""
        self._thread.join(_CLOSES_WITHIN_S)
        return self._kept.decode(errors="replace")

    def _read(self) -> None:
        with os.fdopen(self._descriptor, "rb", buffering=0) as pipe:
            while more := pipe.read(LOG_BYTES):
                self._kept = (self._kept + more)[-LOG_BYTES:]


def _filled(argument: str, places: Places) -> str:
    # In one pass: a path may have the other's mark in it.
    paths = {DATA: str(places.data), MODEL: str(places.model)}
    return _MARKS.sub(lambda found: paths[found[0]], argument)


@contextmanager
def _started(
    command: list[str], scratch: Path, bounds: Bounds, log: int, more: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The child, which writes into `log`; at the end it is killed with its process group."""
    limits = [str(bounds.niceness), str(bounds.memory_bytes)]
    # Closed here in any case, so that who reads comes to an end.
    with os.fdopen(log, "wb", buffering=0) as writes:
        process = subprocess.Popen(
            [sys.executable, "-I", child.__file__, *limits, *command],
            stdin=subprocess.PIPE,
            stdout=writes,
            stderr=writes,
            cwd=scratch,
            env={**_environment(scratch), **more},
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            # It was not waited for yet, so its number is still its own.
            os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], bounds: Bounds, stopping: threading.Event) -> str:
    """Wait until the child ends, its time is up, or nobody wants it; returns why it is to be killed, or nothing."""
    ends_at = time.monotonic() + bounds.minutes * 60
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if stopping.wait(_LOOK_EVERY_S):
            return "it was stopped"
        if time.monotonic() >= ends_at:
            return f"the training took more than {bounds.minutes:g} minutes (bounds.minutes)"
    return ""


def _how(code: int) -> str:
    signalled = -code if code < 0 else code - 128
    if signalled > 0:
        return f"the training was ended by signal {signalled}"
    return f"the training ended with {code}"


def _environment(scratch: Path) -> dict[str, str]:
    """Without keys, passwords and addresses, which are none of the program's business."""
    return {
        **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
    }
