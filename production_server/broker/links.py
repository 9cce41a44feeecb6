"""Links: what carries batches of calls to whoever answers them. Here: what all have in common, and the shortest one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from production_server.broker.calls import IMAGE_QUEUE
from production_server.errors import CeleriacError, Unavailable

Replied = Callable[[str, bytes], None]
"""Told of a reply: the batch's key, and the body."""
Lost = Callable[[CeleriacError], None]
"""Told that no batch which is on its way will be answered any more."""


class Link(Protocol):
    """Carries bodies. `start` before the first one."""

    @property
    def is_open(self) -> bool:
        """Whether bodies can be sent, and replies come."""

    def start(self, replied: Replied, lost: Lost) -> None:
        """Tell these two from now on, from some thread."""

    def send(self, key: str, body: bytes, *, queue: str, remaining_s: float) -> None:
        """Send a batch, of one of `CALL_QUEUES`, that is of use for so long. For one thread at a time.

        Raises:
            Unavailable: it cannot be sent.
        """

    def check(self) -> None:
        """See whether what was sent can arrive, and whether the link can be opened again. For the thread that sends.

        Raises:
            Unavailable: nothing can; then the link is not open until a later check succeeds.
        """

    def close(self) -> None:
        """Stop; nothing is told afterwards."""


class LocalLink:
    """To a worker in this process: whoever sends a batch of numbers runs it, image files have a thread of their own."""

    def __init__(self) -> None:
        self._images = ThreadPoolExecutor(1, thread_name_prefix="image-calls")
        self._answer: Callable[[bytes], bytes] | None = None
        self._replied: Replied = _to_nobody

    @property
    def is_open(self) -> bool:
        return self._answer is not None

    def serve(self, answer: Callable[[bytes], bytes]) -> None:
        """Have a worker answer from now on: it makes a reply's body of a batch's."""
        self._answer = answer

    def start(self, replied: Replied, lost: Lost) -> None:  # noqa: ARG002  # nothing is lost between two functions
        self._replied = replied

    def send(self, key: str, body: bytes, *, queue: str, remaining_s: float) -> None:  # noqa: ARG002  # run at once
        if self._answer is None:
            raise Unavailable("no worker has started")
        if queue == IMAGE_QUEUE:
            self._images.submit(self._run, self._answer, key, body)
        else:
            self._run(self._answer, key, body)

    def check(self) -> None:
        pass  # nothing is on its way between two functions

    def close(self) -> None:
        self._replied = _to_nobody
        self._images.shutdown(cancel_futures=True)

    def _run(self, answer: Callable[[bytes], bytes], key: str, body: bytes) -> None:
        self._replied(key, answer(body))


def _to_nobody(_key: str, _body: bytes) -> None:
    pass
