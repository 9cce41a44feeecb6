"""The address that the web server listens on, checked before anything starts."""

from __future__ import annotations

import socket
from dataclasses import replace

from production_server.errors import Fault, SettingsError
from production_server.settings import Settings


def with_free_address(settings: Settings) -> Settings:
    """The settings with HOST as an IP address: granian takes no names, and logs a traceback for a port in use.

    Raises:
        SettingsError: HOST and PORT cannot be listened on.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, _, _, address = found[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as exc:
        got = f"{settings.host}:{settings.port} ({getattr(exc, 'strerror', None) or exc})"
        raise SettingsError((Fault("HOST, PORT", "an address that can be listened on", got),)) from exc
    return replace(settings, host=str(address[0]))
