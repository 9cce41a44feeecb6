"""The link to workers in processes of their own: a connection to each, and a batch to the one with the fewest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence

from production_server.broker.addresses import Address, SocketFile, addresses_in, keep_alive
from production_server.broker.call_tls import has_call_tls, web_tls
from production_server.broker.frames import Kind
from production_server.broker.links import Body, Lost, Replied
from production_server.broker.worker_connection import Sent, WorkerConnection
from production_server.errors import MISTAKE, SettingsError, Unavailable
from production_server.jobs.records import WorkerInfo
from production_server.settings import Settings

log = logging.getLogger(__name__)

SENT_AGAIN, GIVEN_UP = "sent_again", "given_up"
MOST_TIMES = 2
"""A batch is sent so often: workers may die of it."""
ALONE_S = 10.0
"""So long after the last worker has gone calls wait for the next one; then they are refused at once."""
FULL_FOR_S = 0.02
"""How long a worker that was full is not asked, unless it answers something before."""
CONNECT_S = 5.0
MOST_FAULTS = 100
"""Of workers that could not be reached, each is told of once; then all of them once more."""


class WorkerLink:
    """A link over Unix sockets and, to other machines, TLS. What was under way where a connection breaks goes again."""

    def __init__(self, settings: Settings) -> None:
        """Raises: SettingsError: there is half of what TLS takes, or it cannot be used."""
        has_call_tls(settings)
        # Certificates are read anew for each connection: they end, and are renewed.
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: dict[tuple[Address, ...], WorkerConnection] = {}
        """By where a worker is."""
        self._connecting: set[asyncio.Task[None]] = set()
        self._faults: dict[tuple[Address, ...], str] = {}
        self._batches: dict[int, Sent] = {}
        self._unsent: dict[Kind, deque[Sent]] = {Kind.NUMBERS: deque(), Kind.IMAGES: deque()}
        self._alone_since = 0.0
        self._broken = {SENT_AGAIN: 0, GIVEN_UP: 0}

    @property
    def is_open(self) -> bool:
        return self._loop is not None and (
            self._has_workers or time.monotonic() - self._alone_since < ALONE_S
        )

    @property
    def workers(self) -> int:
        return sum(each.is_open and not each.is_silent for each in tuple(self._connections.values()))

    @property
    def unsent_batches(self) -> int:
        return sum(map(len, self._unsent.values()))

    @property
    def broken(self) -> Mapping[str, int]:
        return self._broken

    def start(self, replied: Replied, lost: Lost) -> None:
        self._replied, self._lost = replied, lost
        self._loop = asyncio.get_running_loop()
        self._alone_since = time.monotonic()

    def know(self, workers: Sequence[WorkerInfo]) -> None:
        loop = self._loop
        if loop is not None:
            # A loop that has ended asks nobody any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._know, list(workers))

    def send(self, key: int, kind: Kind, body: bytes) -> None:
        if self._loop is None:
            raise Unavailable("the server stops")
        batch = self._batches[key] = Sent(key, kind, body)
        self._unsent[kind].append(batch)
        self._send_unsent()

    def forget(self, key: int) -> None:
        batch = self._batches.pop(key, None)
        if batch is None:
            return
        batch.is_forgotten = True
        for connection in self._connections.values():
            connection.was_late(batch)
        with contextlib.suppress(ValueError):
            self._unsent[batch.kind].remove(batch)

    def close(self) -> None:
        self._loop = None
        self._batches.clear()
        for unsent in self._unsent.values():
            unsent.clear()
        for connecting in tuple(self._connecting):
            connecting.cancel()
        for connection in tuple(self._connections.values()):
            connection.close()

    def opened(self, connection: WorkerConnection) -> None:
        log.info("interactive calls go to worker %s", connection.name)
        self._send_unsent()

    def answered(self, batch: Sent, body: Body) -> None:
        if self._batches.pop(batch.key, None) is not None and self._loop is not None:
            self._replied(batch.key, body)
        self._send_unsent()

    def refused(self, connection: WorkerConnection, batch: Sent) -> None:
        if not batch.is_forgotten:
            self._unsent[batch.kind].appendleft(batch)
        if self._loop is not None:
            self._loop.call_later(FULL_FOR_S, self._ask_again, connection, batch.kind)
        self._send_unsent()

    def closed(self, connection: WorkerConnection, left: list[Sent], why: str) -> None:
        where = next((where for where, each in self._connections.items() if each is connection), ())
        self._connections.pop(where, None)
        if self._loop is None:
            return
        if not connection.has_greeted:
            self._note(where, connection.name, why)
            return
        if not self._has_workers:
            self._alone_since = time.monotonic()
        waited_for = [batch for batch in left if not batch.is_forgotten]
        lost = f"; {len(waited_for)} batches were under way" if waited_for else ""
        log.info("interactive calls go to worker %s no more: %s%s", connection.name, why, lost)
        for batch in reversed(waited_for):
            self._send_again(batch)
        self._send_unsent()

    @property
    def _has_workers(self) -> bool:
        return any(each.has_greeted for each in tuple(self._connections.values()))

    def _send_again(self, batch: Sent) -> None:
        """Once more, and no third time: it may be that workers die of it."""
        if batch.times_sent < MOST_TIMES:
            self._broken[SENT_AGAIN] += 1
            self._unsent[batch.kind].appendleft(batch)
        else:
            self._broken[GIVEN_UP] += 1
            del self._batches[batch.key]
            self._lost(batch.key, Unavailable("two workers were lost while they had it"))

    def _send_unsent(self) -> None:
        for kind, unsent in self._unsent.items():
            while unsent and (least := self._least_busy(kind)) is not None:
                least.give(unsent.popleft())

    def _least_busy(self, kind: Kind) -> WorkerConnection | None:
        usable = [each for each in self._connections.values() if each.has_room(kind)]
        return min(usable, key=lambda each: (each.is_silent, each.load(kind)), default=None)

    def _ask_again(self, connection: WorkerConnection, kind: Kind) -> None:
        connection.ask_again(kind)
        self._send_unsent()

    def _know(self, workers: list[WorkerInfo]) -> None:
        if self._loop is None:
            return
        alive = {addresses_in(worker.calls): worker.name for worker in workers}
        for where, connection in self._connections.items():
            connection.is_stale = where not in alive
        for where, name in alive.items():
            if where and where not in self._connections:
                self._connections[where] = WorkerConnection(name, self)
                connecting = self._loop.create_task(self._connect(where))
                self._connecting.add(connecting)
                connecting.add_done_callback(self._connecting.discard)

    async def _connect(self, where: tuple[Address, ...]) -> None:
        """Connect by the first address of a worker that can be reached from here; if none can, it is tried again."""
        connection = self._connections[where]
        fault = "it is on another machine, and takes no calls from there (CALLS_LISTEN)"
        for address in (each for each in where if each.is_here):
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self._open(address, connection)
            except (OSError, SettingsError) as exc:
                fault = f"{address}: {str(exc) or 'it does not answer'}"
            except Exception:
                log.exception("a connection to worker %s could not be opened", connection.name)
                fault = f"{address}: {MISTAKE}"
            else:
                return
        self._connections.pop(where, None)
        connection.close()
        self._note(where, connection.name, fault)

    async def _open(self, address: Address, connection: WorkerConnection) -> None:
        """Raises: OSError: nobody is there, or somebody who proves nothing. SettingsError: nor would we."""
        loop = asyncio.get_running_loop()
        if isinstance(address, SocketFile):
            await loop.create_unix_connection(lambda: connection, str(address.path))
            return
        transport, _ = await loop.create_connection(
            lambda: connection,
            address.host,
            address.port,
            ssl=web_tls(self._settings) if address.has_tls else None,
            server_hostname=address.host if address.has_tls else None,
        )
        keep_alive(transport.get_extra_info("socket"))

    def _note(self, where: tuple[Address, ...], name: str, fault: str) -> None:
        """Tell the log of a worker that cannot be reached, once."""
        if self._faults.get(where) != fault:
            log.warning("interactive calls cannot reach worker %s: %s", name, fault)
        if len(self._faults) > MOST_FAULTS:
            self._faults.clear()
        self._faults[where] = fault
