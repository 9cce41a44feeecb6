"""A worker's connection to one web process, or to a stranger who is none."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from production_server.broker.frames import GREETING, Frame, FrameReader, Kind, frame

log = logging.getLogger(__name__)

GREET_WITHIN_S = 5.0
MOST_UNREAD_BYTES = 128 * 2**20
"""Of replies to a web process that does not read: more, and it is left."""


class Server(Protocol):
    """Who answers what comes."""

    def came(self, connection: WebConnection) -> None:
        """Somebody has connected."""

    def left(self, connection: WebConnection) -> None:
        """The connection is gone."""

    def take(self, connection: WebConnection, batch: Frame) -> None:
        """A batch has come."""


class WebConnection(asyncio.Protocol):
    """One connection, of the event loop's thread alone."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.is_gone = False
        """Any thread may ask."""
        self._reader = FrameReader(Kind.NUMBERS, Kind.IMAGES)
        self._patience: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._patience = asyncio.get_running_loop().call_later(GREET_WITHIN_S, transport.abort)
        self._server.came(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # whatever it was
        if self._patience is not None:
            self._patience.cancel()
        self.is_gone = True
        self._server.left(self)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except ValueError as exc:
            log.warning("left somebody who asks for no calls: %s", exc)
            self._transport.abort()
            return
        for each in frames:
            if each.kind is Kind.HELLO:
                self._greet()
            else:
                self._server.take(self, each)

    def tell(self, kind: Kind, key: int = 0, body: bytes = b"") -> None:
        """Send a frame; nothing to whoever has left."""
        if self.is_gone or self._transport.is_closing():
            return
        self._transport.writelines(frame(kind, key, body))
        if self._transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            log.warning("left a web process that does not read")
            self._transport.abort()

    def close(self) -> None:
        """Close it, when all is sent."""
        self._transport.close()

    def _greet(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self.tell(Kind.HELLO, body=GREETING)
