"""Subscriptions and topics of Google's Pub/Sub, by google-cloud-pubsub: the one module that knows it.

A message is acknowledged when it is stored, and only then. Few are in hand at once: of thousands acknowledgements get
lost (python-pubsub#593).
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as StillWaiting
from concurrent.futures import wait
from contextlib import suppress
from typing import Any

from google.api_core import exceptions
from google.api_core.exceptions import GoogleAPICallError, InvalidArgument
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud import pubsub_v1

from production_server.errors import Unavailable
from production_server.shown import shown
from production_server.sources.streams.message import Message, Outgoing, SourceState
from production_server.sources.streams.rules import StreamRule

log = logging.getLogger(__name__)
# They log what they raise as well, with a traceback for each that they tried.
for _its in ("google.cloud.pubsub_v1", "google.api_core.bidi"):
    logging.getLogger(_its).setLevel(logging.CRITICAL)

IN_HAND = 500
LEASE_S = 60
SEND_S = 30.0
ASK_AGAIN_S = 5.0
_AGAIN = Retry(
    predicate=if_exception_type(
        exceptions.Aborted,
        exceptions.Cancelled,
        exceptions.DeadlineExceeded,
        exceptions.InternalServerError,
        exceptions.ResourceExhausted,
        exceptions.ServiceUnavailable,
        exceptions.Unknown,
    ),
    initial=0.1,
    maximum=ASK_AGAIN_S,
    multiplier=2,
    timeout=SEND_S,
)
"""As the library does it by itself, which waits for up to a minute after an outage."""


class PubSubSource:
    """A streaming pull of one subscription; a `Source`."""

    def __init__(self, rule: StreamRule) -> None:
        """Asks nobody yet; messages come in threads of the library's own, and wait here."""
        self._path = f"projects/{rule.host}/subscriptions/{rule.place}"
        self._name = rule.place
        self._project = rule.host
        self._came: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._client: pubsub_v1.SubscriberClient | None = None
        self._pull: Any = None
        self._is_paused = False
        self._fault = ""
        self._ask_at = 0.0

    def take(self, *, most: int, wait_s: float) -> list[Message]:
        """What has come; after a fault the subscription is asked anew, a little later.

        Raises:
            Unavailable: it cannot be asked; says why.
        """
        self._look_at_pull()
        found: list[Message] = []
        try:
            found.append(self._read(self._came.get(timeout=wait_s) if wait_s else self._came.get_nowait()))
            while len(found) < most:
                found.append(self._read(self._came.get_nowait()))
        except queue.Empty:
            pass
        return found

    def confirm(self, taken: Sequence[Message]) -> None:
        for message in taken:
            message.receipt.ack()

    def set_paused(self, *, paused: bool) -> None:
        """What waits here meanwhile goes back, so that others may have it."""
        self._is_paused = paused
        if paused:
            self._end_pull()

    def state(self) -> SourceState:
        return SourceState(lag={self._name: None}, fault=self._fault)

    def close(self) -> None:
        self._end_pull()
        if self._client is not None:
            self._client.close()

    def _look_at_pull(self) -> None:
        if self._pull is not None and self._pull.done():
            error = self._pull.exception()
            self._pull, self._ask_at = None, time.monotonic() + ASK_AGAIN_S
            if error is not None:
                self._fault = shown(f"{self._path}: {error}")
        if self._is_paused or self._pull is not None:
            return
        if time.monotonic() < self._ask_at:
            raise Unavailable(self._fault or "the subscription does not answer", place=self._project)
        try:
            self._client = self._client or pubsub_v1.SubscriberClient()
            self._pull = self._client.subscribe(
                self._path,
                callback=self._came.put,
                flow_control=pubsub_v1.types.FlowControl(max_messages=IN_HAND, max_lease_duration=LEASE_S),
            )
        except (GoogleAPICallError, GoogleAuthError) as exc:
            self._ask_at = time.monotonic() + ASK_AGAIN_S
            self._fault = shown(f"{self._path}: {exc}")
            raise Unavailable(self._fault, place=self._project) from exc
        self._fault = ""

    def _end_pull(self) -> None:
        if self._pull is not None:
            self._pull.cancel()
            try:
                self._pull.result(timeout=ASK_AGAIN_S)
            except (GoogleAPICallError, StillWaiting) as exc:
                log.info("%s: %s", self._path, exc)
            self._pull = None
        try:
            while True:
                self._came.get_nowait().nack()
        except queue.Empty:
            pass

    def _read(self, message: Any) -> Message:
        return Message(
            value=message.data,
            key=message.ordering_key.encode() or None,
            headers={name.lower(): value for name, value in message.attributes.items()},
            place=f"{self._name}/{message.message_id}",
            sent_at=message.publish_time.timestamp(),
            receipt=message,
        )


class PubSubSink:
    """A publisher; a `Sink`. Messages with a key keep their order."""

    def __init__(self, rule: StreamRule) -> None:
        self._project = rule.host
        self._publisher: pubsub_v1.PublisherClient | None = None
        self._waiting: list[Any] = []
        """What the library still tries to send, which it does for ever where there are keys."""

    def send(self, topic: str, messages: Sequence[Outgoing]) -> list[bool]:
        path = f"projects/{self._project}/topics/{topic}"
        try:
            if self._publisher is None:
                ordered = pubsub_v1.types.PublisherOptions(enable_message_ordering=True, retry=_AGAIN)
                self._publisher = pubsub_v1.PublisherClient(publisher_options=ordered)
            self._wait_for_earlier()
            self._waiting = [self._publish(self._publisher, path, each) for each in messages]
            return [_is_taken(each) for each in self._waiting]
        except (GoogleAPICallError, GoogleAuthError, StillWaiting) as exc:
            self._go_on(path, messages)
            reason = shown(f"{path}: {exc}") if str(exc) else f"{path}: it takes nothing"
            raise Unavailable(
                f"the stream's topic does not take results: {reason}", place=self._project
            ) from exc

    def close(self) -> None:
        if self._publisher is not None:
            self._publisher.stop()

    def _publish(self, publisher: pubsub_v1.PublisherClient, path: str, message: Outgoing) -> Any:
        key = message.key.decode(errors="replace") if message.key else ""
        return publisher.publish(path, message.value, ordering_key=key, **_attributes(message.headers))

    def _wait_for_earlier(self) -> None:
        """Let nothing be sent beside what was not sent in time: an outage of an hour would fill the memory."""
        if wait(self._waiting, timeout=SEND_S).not_done:
            raise StillWaiting

    def _go_on(self, path: str, messages: Sequence[Outgoing]) -> None:
        """A key whose message failed takes no others until it is told to."""
        if self._publisher is not None:
            for key in {each.key.decode(errors="replace") for each in messages if each.key}:
                with suppress(RuntimeError):  # It was not stopped.
                    self._publisher.resume_publish(path, key)


def _attributes(headers: Mapping[str, str]) -> Mapping[str, str]:
    # Pub/Sub's binding of CloudEvents writes ce-id, Kafka's ce_id; an attribute has at most 1,024 bytes.
    return {
        name.replace("ce_", "ce-"): value.encode()[:1024].decode(errors="ignore")
        for name, value in headers.items()
    }


def _is_taken(waiting: Any) -> bool:
    try:
        waiting.result(timeout=SEND_S)
    except InvalidArgument:
        return False
    return True
