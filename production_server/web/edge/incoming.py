"""Bodies on their way: how slowly one may come, and how much of all of them is kept. For the event loop alone.

A body that is still coming keeps no thread. What it may keep is counted by what has come: what its client announces is
no cost. Where too much has come, it is the slowest that is given up, and not whoever comes next.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from production_server.errors import CeleriacError, InvalidInput, Unavailable
from production_server.web.edge.at_once import AtOnce

Event = Mapping[str, Any]
Receive = Callable[[], Awaitable[Event]]

LEAST_BYTES_PER_S = 1000
"""A client that sends less for long is not waited for. Kestrel and Apache have 240 and 500; 2G brings some 5,000."""
GRACE_S = 10.0
"""So long anybody may take to begin."""
CREDIT_S = 30.0
"""So long a client may send nothing at most, having sent more than the least before: a train may be in a tunnel."""
LATELY_S = 5.0
"""What came before that hardly counts where the slowest is looked for."""
MUCH_BYTES = 2**20
"""Nobody counts as having sent more lately: 60 MB at once, and then a byte now and then, are slow. Who begins has it,
too."""
CROWDED_BYTES = 64 * 2**20
"""As long as no more is kept, all of it may be in memory."""


class Incoming:
    """What is kept of bodies, in one half of a web process."""

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept_bytes = 0
        self._coming: set[Arrival] = set()

    @property
    def is_crowded(self) -> bool:
        """Whether much is kept."""
        return self._kept_bytes > CROWDED_BYTES

    def arrival(self, receive: Receive, *, limit: int = 0, at_once: AtOnce | None = None) -> Arrival:
        """A body that is about to come; a context manager around all that is done with it.

        `limit` is how long it may be, for whoever receives it.
        """
        return Arrival(self, receive, limit, at_once)

    def keep(self, arrival: Arrival, size: int) -> None:
        """Count what has come of a body, and give up the slowest where it is too much."""
        self._coming.add(arrival)
        self._kept_bytes += size
        while self._kept_bytes > self._most_bytes:
            slowest = min(self._coming, key=Arrival.lately, default=None)
            if slowest is None:
                return
            self.forget(slowest)
            slowest.give_up()

    def complete(self, arrival: Arrival) -> None:
        """It is whole: it is kept, and will not be given up."""
        self._coming.discard(arrival)

    def forget(self, arrival: Arrival) -> None:
        """It is kept no more."""
        self._coming.discard(arrival)
        self._kept_bytes -= arrival.kept_bytes
        arrival.kept_bytes = 0


class Arrival:
    """One body on its way."""

    __slots__ = (
        "_at_once", "_came_at", "_credit_s", "_incoming", "_is_given_up", "_lately", "_loop", "_receive", "_waiting",
        "has_left", "is_late", "is_whole", "kept_bytes", "limit", "size",
    )  # fmt: skip

    def __init__(
        self, incoming: Incoming, receive: Receive, limit: int = 0, at_once: AtOnce | None = None
    ) -> None:
        self.limit = limit
        self.is_whole = False
        self.has_left = False
        """Its client has: there is nobody to answer."""
        self.is_late = False
        """It came too slowly: whoever sends so would go on."""
        self.size = 0
        self.kept_bytes = 0
        self._incoming = incoming
        self._receive = receive
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._credit_s = GRACE_S
        self._came_at = self._loop.time()
        self._lately: float = MUCH_BYTES
        self._waiting: asyncio.Timeout | None = None
        self._is_given_up = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._incoming.forget(self)

    async def next_part(self) -> bytes:
        """What comes next. Afterwards it is whole, its client has left, or there is more to come.

        Raises:
            InvalidInput: it comes too slowly (code `request_timeout`).
            Unavailable: too much of bodies is kept, and this one is the slowest.
        """
        if self._is_given_up:
            raise self._excuse()
        at_once, self._at_once = self._at_once, None
        if at_once is not None and (whole := at_once.take_body()) is not None:
            self.is_whole, self.size = True, len(whole)
            return whole
        began_at = self._loop.time()
        try:
            async with asyncio.timeout_at(began_at + self._credit_s) as self._waiting:
                event = await self._receive()
        except TimeoutError as exc:
            raise self._excuse() from exc
        finally:
            self._waiting = None
        return self._take(event, began_at)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return self.is_whole or self.has_left

    async def until_gone(self) -> None:
        """Wait until the client leaves; what comes of a body that nobody wanted is passed over."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def lately(self) -> float:
        """The bytes that have come lately, up to `MUCH_BYTES`: what is long ago counts less and less."""
        return self._lately * math.exp((self._came_at - self._loop.time()) / LATELY_S)

    def give_up(self) -> None:
        """Wait for no more of it."""
        self._is_given_up = True
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._loop.time())

    def _take(self, event: Event, began_at: float) -> bytes:
        self.has_left = event["type"] == "http.disconnect"
        self.is_whole = not self.has_left and not event.get("more_body", False)
        part: bytes = event.get("body", b"")
        self.size += len(part)
        if self.is_whole and self.size == len(part):
            return part  # most come at once, and cost no more than this
        now = self._loop.time()
        self._credit_s = min(self._credit_s + began_at - now + len(part) / LEAST_BYTES_PER_S, CREDIT_S)
        self._lately, self._came_at = min(self.lately() + len(part), MUCH_BYTES), now
        self.kept_bytes += len(part)
        self._incoming.keep(self, len(part))
        if self._is_given_up:
            raise self._excuse()
        if self.is_whole:
            self._incoming.complete(self)
        return part

    def _excuse(self) -> CeleriacError:
        self.is_late = True
        if self._is_given_up:
            return Unavailable(
                "too much is being sent at once, and this comes the slowest", code="overloaded"
            )
        return InvalidInput(
            f"the body came too slowly: expected {LEAST_BYTES_PER_S} bytes a second, got {self.size} bytes",
            code="request_timeout",
        )
