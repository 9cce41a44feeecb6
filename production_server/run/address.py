"""The addresses that the web server listens on, taken before anything starts."""

from __future__ import annotations

import socket

from production_server.errors import Fault, SettingsError
from production_server.settings import Settings

BACKLOG = 2048
"""Connections that may wait to be accepted."""


def take_addresses(settings: Settings) -> list[socket.socket]:
    """Sockets at PORT of HOST and, if there is one, at HTTP_PORT, in this order.

    They do not listen yet: until a server is ready, clients are refused.

    Raises:
        SettingsError: one of them cannot be listened on.
    """
    taken = [_take("PORT", settings.host, settings.port)]
    if settings.http_port:
        try:
            taken.append(_take("HTTP_PORT", settings.host, settings.http_port))
        except SettingsError:
            taken[0].close()
            raise
    return taken


def _take(variable: str, host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, _, _, address = found[0]
        taken = socket.socket(family, kind)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
        except OSError:
            taken.close()
            raise
    except (OSError, UnicodeError) as exc:
        raise _refusal(variable, host, port, exc) from exc
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
        raise _refusal("PORT", host, port, exc) from exc


def _refusal(variable: str, host: str, port: int, exc: Exception) -> SettingsError:
    got = f"{host}:{port} ({getattr(exc, 'strerror', None) or exc})"
    return SettingsError((Fault(f"HOST, {variable}", "an address that can be listened on", got),))
