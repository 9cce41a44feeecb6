"""How long a call is waited for: until its deadline, or until its client has left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from production_server.broker.grouping import Answer
from production_server.errors import DeadlineExceeded
from production_server.web.edge.incoming import Receive

SOON_S = 0.05


class ClientLeft(Exception):
    """Raised when a client has closed its connection: there is nobody to answer."""


class Patience:
    """Ends a wait at its deadline, or when the client has left."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receive: Receive,
        deadline: float,
        *,
        end: Callable[[Answer | ClientLeft], None],
    ) -> None:
        self._loop = loop
        self._receive = receive
        self._deadline = deadline
        self._end = end
        self._leaving: asyncio.Task[None] | None = None
        # Nearly all replies come sooner: neither the client nor the deadline is worth more than one timer until then.
        left_s = deadline - time.monotonic()
        self._timer = (
            loop.call_later(SOON_S, self._watch_client)
            if left_s > SOON_S
            else loop.call_later(max(0.0, left_s), self._be_late)
        )

    def stop(self) -> None:
        """Wait no longer: there is an answer."""
        self._timer.cancel()
        if self._leaving is not None:
            self._leaving.cancel()

    def _watch_client(self) -> None:
        self._leaving = self._loop.create_task(self._until_gone())
        self._timer = self._loop.call_later(max(0.0, self._deadline - time.monotonic()), self._be_late)

    def _be_late(self) -> None:
        self._end(DeadlineExceeded("there was no answer in time"))

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end(ClientLeft())
