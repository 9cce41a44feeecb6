"""Receives the messages of a subscription of Pub/Sub."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from google.api_core.exceptions import DeadlineExceeded
from google.cloud import pubsub_v1

from client.errors import Unavailable
from client.streams.messages import Incoming
from client.streams.pubsub.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.cloud.pubsub_v1.types import ReceivedMessage

    from client.streams.address import Place

ASK_S = 10.0
SHORTEST_WAIT_S = 1.0


class PubSubReader:
    """Pulls from a subscription, which it shares with whoever else does; a `Reader`.

    One pull after the other, no stream: an emulator goes on filling a stream that is dead.
    """

    def __init__(self, place: Place) -> None:
        """Asks nobody yet.

        Raises:
            InputError: there are no credentials.
        """
        self._place = place
        self._path = f"projects/{place.broker.host}/subscriptions/{place.name}"
        self._has_begun = False
        self.fault = ""
        with self._asking():
            self._client = pubsub_v1.SubscriberClient()

    def take(self, *, most: int, wait_s: float) -> Sequence[Incoming]:
        found: Sequence[Incoming] = []
        with self._going_on(wait_s), self._asking(), contextlib.suppress(DeadlineExceeded):
            answer = self._client.pull(
                subscription=self._path, max_messages=most, timeout=max(wait_s, SHORTEST_WAIT_S), retry=None
            )
            found = [self._read(each) for each in answer.received_messages]
            self._has_begun, self.fault = True, ""
        return found

    def confirm(self, taken: Sequence[Incoming]) -> None:
        if taken:
            # What is not acknowledged comes again.
            with self._going_on(0), self._asking():
                self._client.acknowledge(
                    subscription=self._path, ack_ids=[each.receipt for each in taken], timeout=ASK_S
                )

    def close(self) -> None:
        self._client.close()

    @contextlib.contextmanager
    def _going_on(self, pause_s: float) -> Iterator[None]:
        """Note an outage, once messages have come before; whoever cannot begin is told."""
        try:
            yield
        except Unavailable as error:
            if not self._has_begun:
                raise
            self.fault = str(error)
            time.sleep(pause_s)

    def _asking(self) -> contextlib.AbstractContextManager[None]:
        return translated(f"subscription {self._place.name}", project=self._place.broker.host)

    def _read(self, received: ReceivedMessage) -> Incoming:
        message = received.message
        return Incoming(
            value=message.data,
            headers={name.lower(): value for name, value in message.attributes.items()},
            place=f"{self._place.name}/{message.message_id}",
            sent_at=message.publish_time.timestamp(),
            receipt=received.ack_id,
        )
