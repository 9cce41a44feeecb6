"""Reading one queue over a connection of its own: for replies, and for calls."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu import Connection, Consumer

from production_server.broker.amqp_connection import BROKEN, connect, told
from production_server.errors import Unavailable

LOOK_EVERY_S = 0.2
"""How often whoever reads looks whether it shall stop, and tells the broker that it lives."""
CONNECT_AGAIN_S = 0.5
"""How long to wait after a step that failed."""


class Listener:
    """Steps of a `Loop`: connects, has messages handled as they come, and connects anew. For one thread at a time."""

    def __init__(self, app: Celery, consume: Callable[[Any], Consumer]) -> None:
        """`consume` is given a fresh channel, and says what is read from it."""
        self._app = app
        self._consume = consume
        self._connection: Connection | None = None
        self._opened = contextlib.ExitStack()
        self._looked_at = 0.0

    def step(self) -> bool:
        """Have what comes next handled, or wait a moment for it; there may always be more.

        Raises:
            Unavailable: the broker does not answer; the next step tries anew.
        """
        try:
            self._read_on(self._connection or self._open())
        except BROKEN as exc:
            self.close()
            raise Unavailable(told(exc)) from exc
        except BaseException:
            self.close()
            raise
        return True

    def close(self) -> None:
        """Close the connection; what was fetched and not acknowledged goes back."""
        self._connection = None
        with contextlib.suppress(*BROKEN):
            self._opened.close()

    def _open(self) -> Connection:
        # What was opened is closed by `close` also where the rest fails.
        connection = self._opened.enter_context(connect(self._app))
        channel = self._opened.enter_context(connection.channel())
        self._opened.enter_context(self._consume(channel))
        self._connection = connection
        return connection

    def _read_on(self, connection: Connection) -> None:
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=LOOK_EVERY_S)
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            # Also where messages never end: what only reads would not tell the broker that it lives.
            connection.heartbeat_check()
            self._looked_at = time.monotonic()
