"""Where a worker takes calls: a socket in a private folder, and a port where CALLS_LISTEN names one."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from production_server.broker.addresses import Address, Port, SocketFile, is_loopback
from production_server.broker.call_tls import has_call_tls
from production_server.errors import Fault, SettingsError
from production_server.settings import Settings

MOST_PATH_BYTES = 107
"""What Linux takes as the path of a Unix socket."""
UNFINISHED = "~"
"""What the name of a socket ends with that does not listen yet."""
BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that listens, and where."""

    socket: socket.socket
    address: Address

    def close(self) -> None:
        """Take no more connections, and leave nothing behind."""
        self.socket.close()
        if isinstance(self.address, SocketFile):
            self.address.path.unlink(missing_ok=True)


def open_sockets(settings: Settings) -> list[Listening]:
    """Listen.

    Raises:
        SettingsError: CALLS_DIR is no place for sockets, or CALLS_LISTEN not one for this worker.
    """
    listening = [_open_file(settings.resolved_calls_dir)]
    if settings.calls_listen is not None:
        try:
            listening.append(_open_port(settings, settings.calls_listen.host, settings.calls_listen.port))
        except SettingsError:
            listening[0].close()
            raise
    return listening


def _open_file(folder: Path) -> Listening:
    _make_private(folder)
    _clear(folder)
    path = folder / uuid4().hex[:8]
    longest = MOST_PATH_BYTES - len(f"/{path.name}")
    if len(os.fsencode(folder)) > longest:
        raise _fault(
            "CALLS_DIR", f"a path of {longest} bytes at most, for sockets have no longer ones", str(folder)
        )
    listening = socket.socket(socket.AF_UNIX)
    try:
        # It gets its name when it listens: one that does not is taken for left behind.
        early = path.with_name(f"{path.name[:-1]}{UNFINISHED}")
        listening.bind(str(early))
        listening.listen(BACKLOG)
        early.rename(path)
    except OSError as exc:
        listening.close()
        raise _fault("CALLS_DIR", "a folder for sockets", f"{folder} ({exc.strerror})") from exc
    return Listening(listening, SocketFile(path))


def _make_private(folder: Path) -> None:
    try:
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as exc:
        raise _fault("CALLS_DIR", "a folder that can be made", f"{folder} ({exc.strerror})") from exc
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid() or mode & 0o077:
        got = f"{folder}, of user {found.st_uid} with mode {mode:o}"
        raise _fault("CALLS_DIR", "a folder of this user's own, which nobody else may enter (chmod 700)", got)


def _clear(folder: Path) -> None:
    """Remove what workers that were killed have left behind."""
    for path in folder.glob(f"*[!{UNFINISHED}]"):
        with closing(socket.socket(socket.AF_UNIX)) as asking:
            asking.settimeout(0)
            try:
                asking.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                pass  # it is busy, or has just been removed


def _open_port(settings: Settings, host: str, port: int) -> Listening:
    has_tls = has_call_tls(settings)
    if not (has_tls or is_loopback(host)):
        raise _fault(
            "CALLS_LISTEN",
            "127.0.0.1, as long as there are no CALLS_TLS_CERT, CALLS_TLS_KEY and CALLS_TLS_CA",
            host,
        )
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as exc:
        got = f"{host}:{port} ({getattr(exc, 'strerror', None) or exc})"
        raise _fault("CALLS_LISTEN", "an address that can be listened on", got) from exc
    return Listening(listening, Port(host, port, has_tls))


def _fault(variable: str, expected: str, got: str) -> SettingsError:
    return SettingsError((Fault(variable, expected, got),))
