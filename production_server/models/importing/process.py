"""Starts the importer's process, passes on what it says, and ends it at its limits."""

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from production_server import errors
from production_server.errors import (
    CeleriacError,
    Fault,
    ImportFailed,
    ImportStopped,
    InvalidInput,
    StoreNotWritable,
)
from production_server.models.importing.described import Described
from production_server.models.importing.limits import Limits
from production_server.models.manifest import Manifest
from production_server.shown import shown

_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
"""What of the environment goes on; keys, passwords and addresses do not."""
_LAST_BYTES = 4096
LOOK_EVERY_S = 0.2
"""So late may be noticed that time is up, or that nobody waits."""
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An import: the file, what is said of it, and which Python reads it."""

    file: Path
    name: str
    described: Described = field(default_factory=Described)
    weights: Path | None = None
    sample: Path | None = None
    signature: str | None = None
    python: Path = Path(sys.executable)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Answered:
    """A manifest without its number and digests, and what was assumed, one sentence each."""

    manifest: Manifest
    notes: tuple[str, ...]


def import_in_process(
    asked: Asked, into: Path, say: Callable[[str], None], *, stopping: threading.Event | None = None
) -> Answered:
    """Have a process of its own read the file, and write what is served into `into`; blocks until it has.

    `stopping` ends it early when it is set. Called in a thread that lives as long: the process dies with it.

    Raises:
        InvalidInput: the file, or what is said of it, cannot be used.
        BrokenVersion, InferenceFailed: what is served of it does not load or run.
        StoreNotWritable: there is no room for it.
        ImportFailed: the process did not come to an end within its limits.
        ImportStopped: `stopping` was set.
    """
    stopping = stopping or threading.Event()
    # In the draft, which others remove if this process is killed.
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=into) as scratch:
        request = _request(asked, into, Path(scratch))
        with (
            tempfile.TemporaryFile() as noise,
            _started(asked, Path(scratch), noise) as process,
            _deadline(process, asked.limits.timeout_s, stopping) as is_late,
        ):
            last = _converse(process, request, say)
            code = process.wait()
            if "imported" in last:
                answer = last["imported"]
                return Answered(Manifest.model_validate(answer["manifest"]), tuple(answer["notes"]))
            if "error" in last:
                raise _error_of(last["error"])
            if stopping.is_set():
                raise ImportStopped("nobody waits for it any more")
            raise _died(code, asked.limits, noise, is_late=is_late.is_set())


def _request(asked: Asked, into: Path, scratch: Path) -> bytes:
    paths = {
        "file": asked.file,
        "into": into,
        "scratch": scratch,
        "weights": asked.weights,
        "sample": asked.sample,
    }
    request = {
        "paths": {name: str(path.resolve()) for name, path in paths.items() if path is not None},
        "name": asked.name,
        "described": asked.described.model_dump(mode="json"),
        "signature": asked.signature,
        "limits": asdict(asked.limits),
    }
    return json.dumps(request).encode() + b"\n"


@contextmanager
def _started(asked: Asked, scratch: Path, noise: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            # Its own path, and not what that is a link to: a virtual environment is found by it.
            [asked.python.absolute(), "-P", "-m", "production_server.models.importing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            env=_environment(scratch),
            cwd=scratch,
            start_new_session=True,
        )
    except OSError as exc:
        raise ImportFailed(f"{asked.python} cannot be started: {exc.strerror or exc}") from exc
    with process:
        try:
            yield process
        finally:
            _kill(process)


def _environment(scratch: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(Path(errors.__file__).parents[1]),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


@contextmanager
def _deadline(
    process: subprocess.Popen[bytes], seconds: float, stopping: threading.Event
) -> Iterator[threading.Event]:
    """End the process after so long, or when nobody waits any more."""
    is_late, is_over = threading.Event(), threading.Event()
    ends_at = time.monotonic() + seconds

    def watch() -> None:
        while not is_over.wait(LOOK_EVERY_S):
            if stopping.is_set() or time.monotonic() >= ends_at:
                is_late.set()
                _kill(process)
                return

    watching = threading.Thread(target=watch, name="import-deadline", daemon=True)
    watching.start()
    try:
        yield is_late
    finally:
        is_over.set()
        watching.join()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process with all that it started; it leads a session of its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _converse(process: subprocess.Popen[bytes], request: bytes, say: Callable[[str], None]) -> dict[str, Any]:
    """Send the request and pass on what is said; returns the last word, or nothing."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("a process with pipes is needed")
    try:
        process.stdin.write(request)
        process.stdin.flush()
    except BrokenPipeError:
        # It has ended, and its exit code tells why. What it did not take is not to be written again.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        return {}
    for line in process.stdout:
        try:
            message = json.loads(line)
        except ValueError:
            return {}  # cut off: it was killed while it wrote
        if "say" not in message:
            return dict(message)
        say(message["say"])
    return {}


def _error_of(told: dict[str, Any]) -> CeleriacError:
    """An error of the other process, as one of this one's."""
    kind: type[CeleriacError] = getattr(errors, told["class"])
    detail = told["detail"]
    if issubclass(kind, InvalidInput):
        return kind(detail, tuple(Fault(*each) for each in told["faults"]), code=told["code"])
    if kind is StoreNotWritable and told.get("errno") in _FULL:
        return StoreNotWritable("there is no room for a version in the model store", code="store_full")
    if kind is StoreNotWritable:
        return ImportFailed(f"the importer could not read or write a file: {detail}")
    error: CeleriacError = kind(detail, code=told["code"])
    return error


def _died(code: int, limits: Limits, noise: IO[bytes], *, is_late: bool) -> ImportFailed:
    if is_late:
        return ImportFailed(f"the file was not read within {limits.timeout_s:g} s (IMPORT_TIMEOUT_S)")
    noise.seek(0, os.SEEK_END)
    noise.seek(max(0, noise.tell() - _LAST_BYTES))
    lines = noise.read().decode(errors="replace").strip().splitlines()
    said = f": {shown(lines[-1])}" if lines else ""
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    memory = f"; it may use {limits.memory_bytes / 2**30:.1f} GiB of memory (IMPORT_MEMORY_BYTES)"
    return ImportFailed(f"the process that reads the file {how}{said}{memory}")
