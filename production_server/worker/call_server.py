"""Interactive calls from web processes: a thread reads and writes, one runs numbers, and one runs image files.

Threads of their own, beside those for chunks: a call must not wait until a chunk is done. What takes less than to hand
it over is run by the first one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvloop

from production_server.broker.addresses import Port, keep_alive, told
from production_server.broker.call_threads import CallThread
from production_server.broker.call_tls import worker_tls
from production_server.broker.frames import Frame, Kind
from production_server.broker.links import Answering
from production_server.settings import Settings
from production_server.worker.call_sockets import Listening, open_sockets
from production_server.worker.web_connection import GREET_WITHIN_S, WebConnection

log = logging.getLogger(__name__)

MOST_HELD = 64
MOST_HELD_BYTES = 64 * 2**20
"""Of batches of a kind, in hand and before that: more are refused, and asked of another worker. One is always taken."""
MOST_CONNECTIONS = 512
LEAVE_S = 1.0
"""How long the last answers may take on their way when a worker stops."""


@dataclass(slots=True)
class _Held:
    """What there is of a kind. Numbers do not wait for images, nor are they refused for them."""

    batches: int = 0
    size_bytes: int = 0

    def has_room(self, size_bytes: int) -> bool:
        """Whether one more may be taken."""
        return not self.batches or (
            self.batches < MOST_HELD and self.size_bytes + size_bytes <= MOST_HELD_BYTES
        )

    def count(self, batches: int, size_bytes: int) -> None:
        """There are so many more."""
        self.batches += batches
        self.size_bytes += size_bytes


class CallServer:
    """Answers calls from `start` to `stop`."""

    def __init__(self, settings: Settings, processor: Answering) -> None:
        """Listen.

        Raises:
            SettingsError: CALLS_DIR or CALLS_LISTEN cannot be listened on.
        """
        self._settings = settings
        self._processor = processor
        self._listening = open_sockets(settings)
        self._loop = uvloop.new_event_loop()
        self._servers: list[asyncio.AbstractServer] = []
        self._connections: set[WebConnection] = set()
        self._held = {kind: _Held() for kind in (Kind.NUMBERS, Kind.IMAGES)}
        self._is_leaving = False
        self._running = {kind: CallThread(kind) for kind in (Kind.NUMBERS, Kind.IMAGES)}
        self._thread = threading.Thread(target=self._serve, name="interactive calls", daemon=True)

    @property
    def told(self) -> dict[str, Any]:
        """What the heartbeat tells of it."""
        return told([each.address for each in self._listening])

    def start(self) -> None:
        """Start the threads."""
        for running in self._running.values():
            running.start()
        self._thread.start()

    def stop(self, *, within_s: float) -> None:
        """Take no more, answer what is in hand, and end."""
        if not self._thread.is_alive():
            for each in self._listening:
                each.close()
            return
        self._loop.call_soon_threadsafe(self._leave, time.monotonic() + within_s)
        self._thread.join()
        for running in self._running.values():
            running.stop(LEAVE_S)

    def came(self, connection: WebConnection) -> None:
        self._connections.add(connection)
        if len(self._connections) > MOST_CONNECTIONS:
            connection.close()

    def left(self, connection: WebConnection) -> None:
        self._connections.discard(connection)

    def take(self, connection: WebConnection, batch: Frame) -> None:
        held = self._held[batch.kind]
        if self._is_leaving or not held.has_room(len(batch.body)):
            connection.tell(Kind.FULL, batch.key)
            return
        reply = self._processor.answer_if_quick(batch.body) if batch.kind is Kind.NUMBERS else None
        if reply is not None:
            connection.tell(Kind.REPLY, batch.key, reply)
            return
        held.count(1, len(batch.body))
        self._running[batch.kind].run(partial(self._run, connection, batch))

    def _run(self, connection: WebConnection, batch: Frame) -> None:
        reply = b""
        try:
            # Where the web process is gone nobody waits, or another worker has been asked.
            if not connection.is_gone:
                reply = self._processor.answer(batch.body)
        finally:
            # Whatever came of it, there is room for another one. A loop that has ended has nobody who waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer, connection, batch, reply)

    def _answer(self, connection: WebConnection, batch: Frame, reply: bytes) -> None:
        self._held[batch.kind].count(-1, -len(batch.body))
        connection.tell(Kind.REPLY, batch.key, reply)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
            self._loop.run_forever()
        except BaseException:
            log.exception("interactive calls are taken no more")
            raise
        finally:
            self._loop.close()

    async def _listen(self) -> None:
        for each in self._listening:
            await self._listen_at(each)

    async def _listen_at(self, each: Listening) -> None:
        if not isinstance(each.address, Port):
            server = await self._loop.create_unix_server(lambda: WebConnection(self), sock=each.socket)
            self._servers.append(server)
            return
        keep_alive(each.socket)  # what is accepted has it from there
        tls: dict[str, Any] = {}
        if each.address.has_tls:
            tls = {"ssl": worker_tls(self._settings), "ssl_handshake_timeout": GREET_WITHIN_S}
        server = await self._loop.create_server(lambda: WebConnection(self), sock=each.socket, **tls)
        self._servers.append(server)

    def _leave(self, until: float) -> None:
        """Say goodbye, and end when all that is in hand is answered."""
        if not self._is_leaving:
            self._is_leaving = True
            for server in self._servers:
                server.close()
            for listening in self._listening:
                listening.close()
            for connection in self._connections:
                connection.tell(Kind.GOODBYE)
        if any(held.batches for held in self._held.values()) and time.monotonic() < until:
            self._loop.call_later(0.01, self._leave, until)
            return
        for connection in tuple(self._connections):
            connection.close()
        self._end(time.monotonic() + LEAVE_S)

    def _end(self, until: float) -> None:
        if self._connections and time.monotonic() < until:
            self._loop.call_later(0.01, self._end, until)
        else:
            self._loop.stop()
