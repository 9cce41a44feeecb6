"""The address that the web server listens on, taken before anything starts."""

from __future__ import annotations

import socket

from production_server.errors import Fault, SettingsError
from production_server.settings import Settings

BACKLOG = 2048
"""Connections that may wait to be accepted."""


def take_address(settings: Settings) -> socket.socket:
    """A socket at HOST and PORT that does not listen yet: until a server is ready, clients are refused.

    Raises:
        SettingsError: HOST and PORT cannot be listened on.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, _, _, address = found[0]
        taken = socket.socket(family, kind)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
        except OSError:
            taken.close()
            raise
    except (OSError, UnicodeError) as exc:
        raise _refusal(settings.host, settings.port, exc) from exc
    return taken


def listen(taken: socket.socket) -> None:
    """Listen at an address that was taken: of two servers that took it at once, one is the first.

    Raises:
        SettingsError: the other one was.
    """
    try:
        taken.listen(BACKLOG)
    except OSError as exc:
        host, port, *_ = taken.getsockname()
        raise _refusal(host, port, exc) from exc


def _refusal(host: str, port: int, exc: Exception) -> SettingsError:
    got = f"{host}:{port} ({getattr(exc, 'strerror', None) or exc})"
    return SettingsError((Fault("HOST, PORT", "an address that can be listened on", got),))
