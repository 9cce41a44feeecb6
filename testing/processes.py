"""Starts and ends the processes of a test service, and finds ports and directories for them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class ServiceError(Exception):
    """Raised when a test service does not start, stop or answer in time."""


FIRST_PORT, BLOCK, BLOCKS = 11_000, 500, 43  # below those that systems give to whoever asks for any


@functools.cache
def _own_ports() -> Iterator[int]:
    """The ports of a block that belongs to this process until it ends: whoever else runs tests has another one."""
    for block in range(BLOCKS):
        # Open as long as this process lives.
        lock = os.open(
            Path(tempfile.gettempdir()) / f"celeriac-test-ports-{block}.lock", os.O_CREAT | os.O_RDWR
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        return cycle(range(FIRST_PORT + BLOCK * block, FIRST_PORT + BLOCK * (block + 1)))
    raise ServiceError(f"{BLOCKS} processes have a block of ports each: none is left")


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1, one after the other, on which nothing listens.

    Nobody else is given them: no other process of the tests, nor this one before it has gone round.
    """
    found: list[int] = []
    while len(found) < count:
        port = next(_own_ports())
        found = [*found, port] if not found or port == found[-1] + 1 else [port]
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                found = []
    return found


@contextlib.contextmanager
def temporary_directory(name: str, *, owner: str | None = None) -> Iterator[Path]:
    """A directory, readable by its owner only, that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix=f"celeriac-{name}-"))
    try:
        if owner is not None:
            shutil.chown(path, owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def unprivileged_user(*preferred: str) -> str | None:
    """Whom a service that refuses to run as root should run as: None means as we are."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in (*preferred, "nobody") if name in names), None)


def spawn(
    command: Sequence[str],
    *,
    directory: Path,
    env: Mapping[str, str],
    user: str | None = None,
    log: str = "output.log",
) -> subprocess.Popen[bytes]:
    """Run a command in the background, its output in a file of the directory.

    Where Linux offers it, the kernel kills the process should the tests themselves be killed.
    """
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with (directory / log).open("ab") as output:
        return subprocess.Popen(
            [*guard, *command],
            cwd=directory,
            env=env,
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def end(
    process: subprocess.Popen[bytes], *, by: signal.Signals = signal.SIGTERM, timeout_s: float = 20
) -> None:
    """Signal a process and wait for its end; one that does not obey is killed."""
    if process.poll() is None:
        process.send_signal(by)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(is_true: Callable[[], bool], *, what: str, timeout_s: float = 60) -> None:
    """Ask until the answer is yes.

    Raises:
        ServiceError: It was still no at the deadline.
    """
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise ServiceError(f"{what}: not after {timeout_s:.0f} s")
        time.sleep(0.03)
