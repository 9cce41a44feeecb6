"""Starts and ends the processes of a test service, and finds ports and directories for them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class ServiceError(Exception):
    """Raised when a test service does not start, stop or answer in time."""


def _own_ports() -> Iterator[int]:
    """Ports below those that systems give to whoever asks for any; of each of xdist's processes others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
    ports = range(11_000 + 1_500 * worker, 12_500 + 1_500 * worker)
    return islice(cycle(ports), os.getpid() % len(ports), None)


_PORTS = _own_ports()


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports of 127.0.0.1 on which nothing listens, and which no other process of the tests is given."""
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            found.append(port)
    return found


def port_before_free_ones(count: int = 2) -> int:
    """A TCP port of 127.0.0.1 before `count` on which nothing listens."""
    while True:
        (port,) = free_ports(1)
        with contextlib.suppress(OSError):
            for number in range(1, count + 1):
                socket.create_server(("127.0.0.1", port + number)).close()
            return port


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
