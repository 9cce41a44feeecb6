"""Where a worker takes calls, as its heartbeat tells: a socket on its own machine, and a port for other machines."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from production_server.broker.frames import PROTOCOL

KEEPALIVE_S = 5
SILENT_S = 15
"""A machine that has said nothing for so long, and is asked, is gone."""


@dataclass(frozen=True, slots=True)
class SocketFile:
    """A Unix socket."""

    path: Path

    def __str__(self) -> str:
        return f"unix://{self.path}"

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        try:
            return self.path.is_socket()
        except OSError:
            return False  # it is in a folder of somebody else's


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a named address; with TLS unless it is this machine's own."""

    host: str
    port: int
    has_tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.has_tls else 'tcp'}://{host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether it may be asked: without TLS only what never leaves this machine."""
        return self.has_tls or is_loopback(self.host)


Address = SocketFile | Port


def is_loopback(host: str) -> bool:
    """Whether what is sent to an address stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def told(addresses: Sequence[Address]) -> dict[str, Any]:
    """What a heartbeat tells of a worker that takes calls there."""
    return {"protocol": PROTOCOL, "addresses": [str(address) for address in addresses]}


def addresses_in(calls: Mapping[str, Any] | None) -> tuple[Address, ...]:
    """Where calls are taken, as a heartbeat told; nowhere, if that is of another release, or of none of ours."""
    if calls is None or calls.get("protocol") != PROTOCOL:
        return ()
    return tuple(map(_address, calls["addresses"]))


def keep_alive(connection: socket.socket) -> None:
    """Have a connection to a machine that is gone without a word end; requests are small, and wait for nothing."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, SILENT_S // KEEPALIVE_S - 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)


def _address(text: str) -> Address:
    parts = urlsplit(text)
    if parts.scheme == "unix":
        return SocketFile(Path(text.removeprefix("unix://")))
    return Port(parts.hostname or "", parts.port or 0, has_tls=parts.scheme == "tls")
