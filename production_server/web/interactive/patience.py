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
        self._receive = receive
        self._end = end
        self._leaving: asyncio.Task[None] | None = None
        left_s = max(0.0, deadline - time.monotonic())
        self._deadline = loop.call_later(left_s, end, DeadlineExceeded("there was no answer in time"))
        # Nearly all replies come sooner: whether the client is still there is not worth a task of its own.
        self._soon = loop.call_later(SOON_S, self._watch_client)

    def stop(self) -> None:
        """Wait no longer: there is an answer."""
        self._deadline.cancel()
        self._soon.cancel()
        if self._leaving is not None:
            self._leaving.cancel()

    def _watch_client(self) -> None:
        self._leaving = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end(ClientLeft())
