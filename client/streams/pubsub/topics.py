"""Makes, lists and deletes topics of Pub/Sub, each with a subscription of its name."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud import pubsub_v1

from client.errors import InputError
from client.streams.messages import Topic
from client.streams.pubsub.errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.streams.address import Broker

ASK_S = 10.0


class PubSubTopics:
    """The topics of one project; a `Topics`."""

    def __init__(self, broker: Broker) -> None:
        """Asks nobody yet.

        Raises:
            InputError: there are no credentials.
        """
        self._project = broker.host
        with self._asking("topic"):
            self._publisher = pubsub_v1.PublisherClient()
            self._subscriber = pubsub_v1.SubscriberClient()

    def list(self) -> Sequence[Topic]:
        with self._asking("topic"):
            names = sorted(
                each.name
                for each in self._publisher.list_topics(project=f"projects/{self._project}", timeout=ASK_S)
            )
            return [
                Topic(name=_last(name), subscriptions=tuple(map(_last, self._subscriptions(name))))
                for name in names
            ]

    def create(self, name: str, *, partitions: int | None, replication: int | None) -> bool:
        if partitions is not None or replication is not None:
            raise InputError("topics of Pub/Sub have neither --partitions nor --replication")
        topic, is_new = f"projects/{self._project}/topics/{name}", False
        with self._asking(f"topic {name}"):
            with contextlib.suppress(AlreadyExists):
                self._publisher.create_topic(name=topic, timeout=ASK_S)
                is_new = True
            with contextlib.suppress(AlreadyExists):
                self._subscriber.create_subscription(
                    name=self._subscription(name), topic=topic, timeout=ASK_S
                )
                is_new = True
        return is_new

    def delete(self, name: str) -> bool:
        is_gone = False
        with self._asking(f"topic {name}"):
            with contextlib.suppress(NotFound):
                self._subscriber.delete_subscription(subscription=self._subscription(name), timeout=ASK_S)
                is_gone = True
            with contextlib.suppress(NotFound):
                self._publisher.delete_topic(topic=f"projects/{self._project}/topics/{name}", timeout=ASK_S)
                is_gone = True
        return is_gone

    def close(self) -> None:
        self._publisher.stop()
        self._subscriber.close()

    def _subscription(self, name: str) -> str:
        return f"projects/{self._project}/subscriptions/{name}"

    def _subscriptions(self, topic: str) -> Sequence[str]:
        return sorted(self._publisher.list_topic_subscriptions(topic=topic, timeout=ASK_S))

    def _asking(self, what: str) -> contextlib.AbstractContextManager[None]:
        return translated(what, project=self._project)


def _last(path: str) -> str:
    return path.rpartition("/")[2]
