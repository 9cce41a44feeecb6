"""Starts a confined process, speaks with it in lines of JSON, and ends it at its limits."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from production_server import errors
from production_server.confined.limits import Limits
from production_server.errors import (
    CeleriacError,
    Fault,
    ImportFailed,
    ImportStopped,
    InvalidInput,
    StoreNotWritable,
)
from production_server.shown import shown

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
"""What of the environment goes on; keys, passwords and addresses do not."""
_LAST_BYTES = 4096
LOOK_EVERY_S = 0.2
"""So late may be noticed that time is up, or that nobody waits."""
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


@dataclass(frozen=True, kw_only=True)
class Program:
    """What runs in a process of its own, and within which limits."""

    module: str
    does: str
    """What it does, for people: `reads the file`."""
    python: Path = Path(sys.executable)
    limits: Limits = field(default_factory=Limits)


class ConfinedProcess:
    """One process, from `started` on. For one thread, with which it dies."""

    def __init__(
        self, program: Program, process: subprocess.Popen[bytes], noise: IO[bytes], stopping: threading.Event
    ) -> None:
        self._program = program
        self._process = process
        self._noise = noise
        self._stopping = stopping
        self._is_late = threading.Event()
        self._is_over = threading.Event()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one message; that the process has ended, the next `receive` tells."""
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return
        try:
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            # What it did not take is not to be written again.
            with contextlib.suppress(BrokenPipeError):
                stdin.close()

    def receive(self) -> dict[str, Any]:
        """The next message; blocks.

        Raises:
            ImportFailed: the process has ended, and why, as far as that is known.
            ImportStopped: nobody waits any more.
            CeleriacError: it has told of an error, which is this one.
        """
        line = b"" if self._process.stdout is None else self._process.stdout.readline()
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:  # nothing, or cut off: it was killed while it wrote
            raise self._end() from None
        if "error" in message:
            raise _error_of(message["error"], self._program.does)
        return message

    def watch(self) -> None:
        """End the process when its time is up, or nobody waits any more; returns when it is over."""
        ends_at = time.monotonic() + self._program.limits.timeout_s
        while not self._is_over.wait(LOOK_EVERY_S):
            if self._stopping.is_set() or time.monotonic() >= ends_at:
                self._is_late.set()
                self.kill()
                return

    def kill(self) -> None:
        """End the process with all that it started; it leads a session of its own."""
        self._is_over.set()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self) -> CeleriacError:
        code = self._process.wait()
        if self._stopping.is_set():
            return ImportStopped("nobody waits for it any more")
        limits, does = self._program.limits, self._program.does
        if self._is_late.is_set():
            return ImportFailed(
                f"the process that {does} took more than {limits.timeout_s:g} s (IMPORT_TIMEOUT_S)"
            )
        self._noise.seek(0, os.SEEK_END)
        self._noise.seek(max(0, self._noise.tell() - _LAST_BYTES))
        lines = self._noise.read().decode(errors="replace").strip().splitlines()
        said = f": {shown(lines[-1])}" if lines else ""
        how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        place = ""
        if self._program.python != Path(sys.executable):
            does, place = f"{does} by IMPORT_PYTHON", str(self._program.python)
        memory = (
            f"; it may use {limits.memory_bytes / 2**30:.1f} GiB of memory (IMPORT_MEMORY_BYTES), "
            "where the machine, or the container, has as much"
        )
        return ImportFailed(f"the process that {does} {how}{said}{memory}", place=place)


@contextmanager
def started(
    program: Program, scratch: Path, *, stopping: threading.Event | None = None
) -> Iterator[ConfinedProcess]:
    """A process that has `scratch` as its working directory and place for what it writes; it is killed at the end.

    `stopping` ends it early when it is set.

    Raises:
        ImportFailed: its Python cannot be started.
    """
    with tempfile.TemporaryFile() as noise, _opened(program, scratch, noise) as process:
        confined = ConfinedProcess(program, process, noise, stopping or threading.Event())
        watching = threading.Thread(target=confined.watch, name="confined-deadline", daemon=True)
        watching.start()
        try:
            confined.send({"limits": asdict(program.limits)})
            yield confined
        finally:
            confined.kill()
            watching.join()


def _opened(program: Program, scratch: Path, noise: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            # Its own path, and not what that is a link to: a virtual environment is found by it.
            [program.python.absolute(), "-P", "-m", program.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            env=_environment(scratch),
            cwd=scratch,
            start_new_session=True,
        )
    except OSError as exc:
        raise ImportFailed(
            f"the process that {program.does} cannot be started: {exc.strerror or exc}",
            place=str(program.python),
        ) from exc


def _environment(scratch: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(Path(errors.__file__).parents[1]),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _error_of(told: Mapping[str, Any], does: str) -> CeleriacError:
    """An error of the other process, as one of this one's."""
    kind: type[CeleriacError] = getattr(errors, told["class"])
    detail = told["detail"]
    if issubclass(kind, InvalidInput):
        return kind(detail, tuple(Fault(*each) for each in told["faults"]), code=told["code"])
    if kind is StoreNotWritable and told.get("errno") in _FULL:
        return StoreNotWritable("there is no room for a version in the model store", code="store_full")
    if kind is StoreNotWritable:
        return ImportFailed(f"the process that {does} could not read or write a file: {detail}")
    error: CeleriacError = kind(detail, code=told["code"])
    return error
