"""Sends messages to a topic of Pub/Sub."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillWaiting
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import Forbidden, InvalidArgument, NotFound, Unauthorized
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import pubsub_v1

from client.streams.messages import NOT_IN_TIME
from client.streams.pubsub.errors import ERRORS, translate, translated

if TYPE_CHECKING:
    from client.streams.address import Place
    from client.streams.messages import Outgoing, Tell

SEND_S = 30.0
IN_HAND = 1000
MOST_BYTES = 10_000_000
"""Of a whole request (Pub/Sub's quotas); some are attributes."""
ROOM_BYTES = 4096
SLICE_S = 0.05
_ABOUT_THE_PLACE = (Forbidden, NotFound, Unauthorized, GoogleAuthError)


class PubSubWriter:
    """A publisher; a `Writer`."""

    def __init__(self, place: Place, tell: Tell) -> None:
        """Asks nobody yet: who may publish to a topic need not be allowed to look at it.

        Raises:
            InputError: there are no credentials.
        """
        self._place, self._tell = place, tell
        self._path = f"projects/{place.broker.host}/topics/{place.name}"
        self._waiting: deque[tuple[Outgoing, Future[str]]] = deque()
        with translated(f"topic {place.name}", project=place.broker.host):
            self._publisher = pubsub_v1.PublisherClient(
                publisher_options=pubsub_v1.types.PublisherOptions(
                    timeout=SEND_S, retry=Retry(timeout=SEND_S)
                )
            )

    @property
    def most_bytes(self) -> int:
        return MOST_BYTES - ROOM_BYTES

    def send(self, message: Outgoing) -> None:
        while len(self._waiting) >= IN_HAND:
            self._look(SLICE_S)
        future: Any = self._publisher.publish(self._path, message.value, **dict(message.headers))
        self._waiting.append((message, future))
        self._look(0)

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._waiting:
                self._look(min(left, SLICE_S))
            else:
                time.sleep(left)

    def finish(self, seconds: float) -> int:
        until = time.monotonic() + seconds
        while self._waiting and time.monotonic() < until:
            self._look(SLICE_S)
        return len(self._waiting)

    def close(self) -> None:
        for message, future in self._waiting:
            future.cancel()
            self._tell(message, "", NOT_IN_TIME)
        self._publisher.stop()

    def _look(self, seconds: float) -> None:
        """Tell of what is over, waiting so long for the first of it."""
        while self._waiting:
            message, future = self._waiting[0]
            try:
                number = future.result(timeout=seconds)
            except StillWaiting:
                return
            except ERRORS as error:
                self._waiting.popleft()
                self._failed(message, error)
            else:
                self._waiting.popleft()
                self._tell(message, f"{self._place.name}/{number}", "")
            seconds = 0

    def _failed(self, message: Outgoing, error: Exception) -> None:
        failure = translate(error, f"topic {self._place.name}", project=self._place.broker.host)
        is_large = isinstance(error, InvalidArgument) and len(message.value) > self.most_bytes
        reason = f"{len(message.value):,} bytes are more than Pub/Sub takes" if is_large else str(failure)
        self._tell(message, "", reason)
        if isinstance(error, _ABOUT_THE_PLACE):
            raise failure
