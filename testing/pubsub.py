"""A Pub/Sub for tests, in memory, by gRPC: at-least-once delivery with deadlines, and outages; no order, no filters."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.pubsub_v1 import types

from testing.processes import free_ports, wait_until

PROJECT = "lab"
MAX_BYTES = 1_000_000
"""Of a message; Google's own takes ten times as much."""
LOOK_EVERY_S = 0.05


@dataclass(slots=True)
class _Subscription:
    deadline_s: float
    ready: deque[Any] = field(default_factory=deque)
    out: dict[str, tuple[Any, float]] = field(default_factory=dict)
    """By acknowledgement id: a message in somebody's hand, and until when."""

    def take(self, most: int, ids: Iterator[int]) -> list[tuple[str, Any]]:
        at = time.monotonic()
        for ack_id in [each for each, (_, until) in self.out.items() if until < at]:
            self.ready.append(self.out.pop(ack_id)[0])
        found: list[tuple[str, Any]] = []
        while self.ready and len(found) < most:
            ack_id, message = str(next(ids)), self.ready.popleft()
            self.out[ack_id] = message, at + self.deadline_s
            found.append((ack_id, message))
        return found


class FakePubSub:
    """One project; a topic and its subscriptions are there once they were made."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.refuses: grpc.StatusCode | None = None
        """What all single calls are answered with, if with anything."""
        self._changed = threading.Condition()
        self._ids = itertools.count(1)
        self._topics: dict[str, list[_Subscription]] = {}
        self._subscriptions: dict[str, _Subscription] = {}
        self._server = self._start()

    def make(self, topic: str, *subscriptions: str, deadline_s: float = 10) -> None:
        """Make a topic with subscriptions; what is in a hand for longer than `deadline_s` comes again."""
        with self._changed:
            made = {
                f"projects/{PROJECT}/subscriptions/{name}": _Subscription(deadline_s)
                for name in subscriptions
            }
            self._topics[f"projects/{PROJECT}/topics/{topic}"] = list(made.values())
            self._subscriptions |= made

    def publish(self, topic: str, *values: bytes, key: str = "", **attributes: str) -> list[str]:
        """Send messages; returns their ids."""
        messages = [{"data": each, "ordering_key": key, "attributes": attributes} for each in values]
        asked = types.PublishRequest({"topic": f"projects/{PROJECT}/topics/{topic}", "messages": messages})
        return list(self._publish(types.PublishRequest.pb(asked), None).message_ids)

    def consume(
        self, subscription: str, is_enough: Callable[[list[Any]], bool], *, timeout_s: float = 60
    ) -> list[Any]:
        """Take the messages of a subscription until there are enough of them."""
        its = self._subscriptions[f"projects/{PROJECT}/subscriptions/{subscription}"]
        found: list[Any] = []

        def has_all() -> bool:
            with self._changed:
                for ack_id, message in its.take(1000, self._ids):
                    del its.out[ack_id]
                    found.append(message)
            return is_enough(found)

        wait_until(has_all, what=f"enough messages of {subscription}", timeout_s=timeout_s)
        return found

    def waiting(self, subscription: str) -> tuple[int, int]:
        """How many messages wait in a subscription, and how many are in a hand."""
        its = self._subscriptions[f"projects/{PROJECT}/subscriptions/{subscription}"]
        with self._changed:
            return len(its.ready), len(its.out)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """For as long nobody listens at its address; what it has stays."""
        self.close()
        try:
            yield
        finally:
            self._server = self._start()

    def close(self) -> None:
        """Listen no more."""
        self._server.stop(None).wait()

    def _start(self) -> grpc.Server:
        server = grpc.server(futures.ThreadPoolExecutor(20), options=[("grpc.so_reuseport", 0)])
        publisher = {
            "Publish": self._single(self._publish, types.PublishRequest),
            "CreateTopic": self._single(self._create_topic, types.Topic),
            "DeleteTopic": self._single(self._delete_topic, types.DeleteTopicRequest),
            "ListTopics": self._single(self._list_topics, types.ListTopicsRequest),
            "ListTopicSubscriptions": self._single(
                self._list_subscriptions, types.ListTopicSubscriptionsRequest
            ),
        }
        subscriber = {
            "StreamingPull": _handler(
                grpc.stream_stream_rpc_method_handler, self._pull, types.StreamingPullRequest
            ),
            "Pull": self._single(self._pull_once, types.PullRequest),
            "Acknowledge": self._single(self._acknowledge, types.AcknowledgeRequest),
            "ModifyAckDeadline": self._single(self._modify, types.ModifyAckDeadlineRequest),
            "CreateSubscription": self._single(self._create_subscription, types.Subscription),
            "DeleteSubscription": self._single(self._delete_subscription, types.DeleteSubscriptionRequest),
        }
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publisher),
                grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
            )
        )
        assert server.add_insecure_port(self.address), f"{self.address} is taken"
        server.start()
        return server

    def _single(self, answer: Callable[[Any, Any], Any], asked: Any) -> Any:
        def answered(question: Any, context: Any) -> Any:
            if self.refuses is not None:
                context.abort(self.refuses, "as the test has it")
            return answer(question, context)

        return _handler(grpc.unary_unary_rpc_method_handler, answered, asked)

    def _create_topic(self, asked: Any, context: Any) -> Any:
        with self._changed:
            if asked.name in self._topics:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, "Topic already exists")
            self._topics[asked.name] = []
        return asked

    def _delete_topic(self, asked: Any, context: Any) -> None:
        with self._changed:
            if self._topics.pop(asked.topic, None) is None:
                context.abort(grpc.StatusCode.NOT_FOUND, "Topic not found")

    def _list_topics(self, _asked: Any, _context: Any) -> Any:
        found = [types.Topic(name=name) for name in self._topics]
        return types.ListTopicsResponse.pb(types.ListTopicsResponse(topics=found))

    def _list_subscriptions(self, asked: Any, _context: Any) -> Any:
        its = self._topics[asked.topic]
        names = [name for name, each in self._subscriptions.items() if any(each is one for one in its)]
        return types.ListTopicSubscriptionsResponse.pb(
            types.ListTopicSubscriptionsResponse(subscriptions=names)
        )

    def _create_subscription(self, asked: Any, context: Any) -> Any:
        with self._changed:
            if asked.name in self._subscriptions:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, "Subscription already exists")
            made = self._subscriptions[asked.name] = _Subscription(asked.ack_deadline_seconds or 10)
            self._topics[asked.topic].append(made)
        return asked

    def _delete_subscription(self, asked: Any, context: Any) -> None:
        with self._changed:
            gone = self._subscriptions.pop(asked.subscription, None)
            if gone is None:
                context.abort(grpc.StatusCode.NOT_FOUND, "Subscription does not exist")
            for topic, its in self._topics.items():
                self._topics[topic] = [each for each in its if each is not gone]

    def _pull_once(self, asked: Any, context: Any) -> Any:
        """What is ready, waited for as long as whoever asks does."""
        its = self._subscriptions.get(asked.subscription)
        if its is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "Subscription does not exist")
            return None
        found: list[tuple[str, Any]] = []
        while not found and context.is_active():
            with self._changed:
                found = its.take(asked.max_messages, self._ids)
                if not found:
                    self._changed.wait(LOOK_EVERY_S)
        received = [
            {"ack_id": ack_id, "message": types.PubsubMessage.wrap(message)} for ack_id, message in found
        ]
        return types.PullResponse.pb(types.PullResponse(received_messages=received))

    def _publish(self, asked: Any, context: Any) -> Any:
        with self._changed:
            if asked.topic not in self._topics:
                context.abort(grpc.StatusCode.NOT_FOUND, f"Topic not found (resource={asked.topic})")
            if any(len(message.data) > MAX_BYTES for message in asked.messages):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The request is too large")
            for message in asked.messages:
                message.message_id = str(next(self._ids))
                message.publish_time.GetCurrentTime()
                for subscription in self._topics[asked.topic]:
                    subscription.ready.append(message)
            self._changed.notify_all()
        return types.PublishResponse.pb(
            types.PublishResponse(message_ids=[message.message_id for message in asked.messages])
        )

    def _pull(self, asked: Iterator[Any], context: Any) -> Iterator[Any]:
        first = next(asked)
        its = self._subscriptions.get(first.subscription)
        if its is None:
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"Subscription does not exist (resource={first.subscription})"
            )
            return
        most = first.max_outstanding_messages or 1000
        mine: set[str] = set()
        while context.is_active():
            with self._changed:
                mine &= its.out.keys()
                found = its.take(most - len(mine), self._ids)
                if not found:
                    self._changed.wait(LOOK_EVERY_S)
            if found:
                mine.update(ack_id for ack_id, _ in found)
                yield types.StreamingPullResponse.pb(
                    types.StreamingPullResponse(
                        received_messages=[
                            {"ack_id": ack_id, "message": types.PubsubMessage.wrap(message)}
                            for ack_id, message in found
                        ]
                    )
                )

    def _acknowledge(self, asked: Any, _context: Any) -> None:
        with self._changed:
            for ack_id in asked.ack_ids:
                self._subscriptions[asked.subscription].out.pop(ack_id, None)

    def _modify(self, asked: Any, _context: Any) -> None:
        its = self._subscriptions[asked.subscription]
        with self._changed:
            for ack_id in its.out.keys() & set(asked.ack_ids):
                message, _ = its.out.pop(ack_id)
                if asked.ack_deadline_seconds:
                    its.out[ack_id] = message, time.monotonic() + its.deadline_s
                else:
                    its.ready.append(message)
            self._changed.notify_all()


def _handler(kind: Any, answer: Callable[..., Any], asked: Any) -> Any:
    def write(answer: Any) -> bytes:
        return b"" if answer is None else bytes(answer.SerializeToString())

    return kind(answer, request_deserializer=asked.pb().FromString, response_serializer=write)
