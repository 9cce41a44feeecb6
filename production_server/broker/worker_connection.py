"""A web process's connection to one worker: what is sent on it, and what comes back."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from production_server.broker.frames import GREETING, Frame, FrameReader, Kind, frame
from production_server.broker.links import Body

log = logging.getLogger(__name__)

MOST_UNDER_WAY = 32
"""Batches of a kind on one connection, whatever the worker says: one that is stopped says nothing."""


@dataclass(slots=True, eq=False)
class Sent:
    """A batch, until it is answered."""

    key: int
    kind: Kind
    body: bytes
    times_sent: int = 0
    is_forgotten: bool = False
    """Nobody waits for the answer."""


class Owner(Protocol):
    """Who has several connections. Told by each of what becomes of it."""

    def opened(self, connection: WorkerConnection) -> None:
        """It can be used."""

    def answered(self, batch: Sent, body: Body) -> None:
        """There is a reply."""

    def refused(self, connection: WorkerConnection, batch: Sent) -> None:
        """The worker is full, and has not taken the batch."""

    def closed(self, connection: WorkerConnection, left: list[Sent], why: str) -> None:
        """The connection is gone, and with it the batches that were under way."""


@dataclass(slots=True, eq=False)
class WorkerConnection(asyncio.Protocol):
    """One connection, of one owner."""

    name: str
    owner: Owner
    is_open: bool = False
    """Whether the worker takes batches."""
    has_greeted: bool = False
    """Whether it is a worker, and lives."""
    is_late: bool = False
    """Whether somebody has waited in vain for a batch that it has, and nothing has come of it since."""
    is_stale: bool = False
    """Whether its heartbeat is too old."""
    _under_way: dict[int, Sent] = field(default_factory=dict)
    _loads: Counter[Kind] = field(default_factory=Counter)
    _full: set[Kind] = field(default_factory=set)
    _reader: FrameReader = field(default_factory=lambda: FrameReader(Kind.REPLY, Kind.FULL, Kind.GOODBYE))
    _transport: asyncio.Transport | None = None

    def has_room(self, kind: Kind) -> bool:
        """Whether a batch can be given to it."""
        return self.is_open and kind not in self._full and self._loads[kind] < MOST_UNDER_WAY

    @property
    def is_silent(self) -> bool:
        """Whether it may be that nobody is there any more."""
        return self.is_late or self.is_stale

    def load(self, kind: Kind) -> tuple[int, int]:
        """Batches of a kind that are under way, and all; such as nobody waits for keep a worker busy, too."""
        return self._loads[kind], len(self._under_way)

    def give(self, batch: Sent) -> None:
        """Send a batch."""
        assert self._transport is not None  # noqa: S101  # it has room
        batch.times_sent += 1
        self._under_way[batch.key] = batch
        self._loads[batch.kind] += 1
        self._transport.writelines(frame(batch.kind, batch.key, batch.body))

    def ask_again(self, kind: Kind) -> None:
        """It may have room by now."""
        self._full.discard(kind)

    def was_late(self, batch: Sent) -> None:
        """Nobody waits for a batch any more, which may be under way here."""
        self.is_late |= batch.key in self._under_way

    def close(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.writelines(frame(Kind.HELLO, body=GREETING))

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except ValueError as exc:
            log.error("worker %s says what is no answer to calls: %s", self.name, exc)
            self.close()
            return
        self.is_late = False
        for each in frames:
            self._take(each)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        left, self._under_way = list(self._under_way.values()), {}
        self.owner.closed(self, left, str(exc or "it has closed the connection"))

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.HELLO:
            self.is_open = self.has_greeted = True
            self.owner.opened(self)
        elif frame.kind is Kind.GOODBYE:
            self.is_open = False
        elif (batch := self._under_way.pop(frame.key, None)) is None:
            log.error("worker %s answers what it was not asked", self.name)
        else:
            self._loads[batch.kind] -= 1
            self._settle(batch, frame)

    def _settle(self, batch: Sent, frame: Frame) -> None:
        if frame.kind is Kind.FULL:
            self._full.add(batch.kind)
            batch.times_sent -= 1
            self.owner.refused(self, batch)
        else:
            self._full.discard(batch.kind)
            self.owner.answered(batch, frame.body)
