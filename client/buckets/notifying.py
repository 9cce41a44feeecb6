"""Use cases: have a bucket tell somebody of new objects, show whom it tells, and have it stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from client.buckets.notification import (
    Notification,
    read_all,
    redacted,
    topic_name,
    with_password,
    with_query,
)
from client.errors import Refused

if TYPE_CHECKING:
    from client.buckets.store import BucketStore

# What a Ceph answers that takes no password because it was not asked over TLS.
_WITHOUT_PASSWORD = frozenset({"InvalidInput", "InvalidArgument"})


@dataclass(frozen=True)
class Shown:
    """A notification as it may be shown: `address` is where its topic posts to, without secrets, if that is known."""

    notification: Notification
    address: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        told, rules = self.notification, self.notification.filter
        return {
            "name": told.name,
            "target": told.target,
            "address": self.address or None,
            "events": list(told.events),
            "prefix": rules.prefix or None,
            "suffix": rules.suffix or None,
            "regex": rules.regex or None,
            "metadata": dict(rules.metadata),
            "tags": dict(rules.tags),
        }

    def as_row(self) -> tuple[str, ...]:
        """The cells of a table."""
        told = self.notification
        return told.name, ", ".join(told.events), str(told.filter), self.address or told.target


def show(store: BucketStore, bucket: str) -> Sequence[Shown]:
    """All notifications of a bucket."""
    found = read_all(store.configuration(bucket))
    return [_shown(store, bucket, each) for each in found]


def push(store: BucketStore, bucket: str, address: str, *, token: str, wanted: Notification) -> bool:
    """Have a Ceph post to an address itself, by a topic that is made for it; answers whether anything changed.

    Of `wanted` the target is not known yet.

    Raises:
        Refused: the store does not have it so, or is none that posts itself.
    """
    configuration = store.configuration(bucket)
    topic, addresses = topic_name(bucket, wanted.name), _addresses(address, token)
    current = _named(wanted.name, configuration)
    is_same = current and current.topic == topic and current == replace(wanted, target=current.target)
    if current and is_same and store.address_of(current.target) in addresses:
        return False
    target = _make_topic(store, topic, addresses)
    store.put(bucket, configuration, replace(wanted, target=target))
    return True


def tell(store: BucketStore, bucket: str, wanted: Notification) -> bool:
    """Have a store tell a topic, a queue or a function that there is; answers whether anything changed."""
    configuration = store.configuration(bucket)
    current = _named(wanted.name, configuration)
    if current == wanted:
        return False
    store.put(bucket, configuration, wanted)
    if current and current.topic == topic_name(bucket, wanted.name) and current.target != wanted.target:
        store.delete_topic(current.target)
    return True


def remove(store: BucketStore, bucket: str, name: str) -> bool:
    """Have a bucket stop telling, and delete the topic that `push` made; answers whether there was either."""
    configuration = store.configuration(bucket)
    current, topic = _named(name, configuration), topic_name(bucket, name)
    if current:
        store.drop(bucket, configuration, name)
        left = [current.target] if current.topic == topic and current.kind == "sns" else []
    else:
        # What an interrupted removal has left.
        left = [arn for arn in store.topics() if arn.endswith(f":{topic}")] if store.is_ceph else []
    for arn in left:
        store.delete_topic(arn)
    return bool(current or left)


def _named(name: str, configuration: Any) -> Notification | None:
    return next((each for each in read_all(configuration) if each.name == name), None)


def _addresses(address: str, token: str) -> tuple[str, str]:
    return with_password(address, token), with_query(address, token)


def _make_topic(store: BucketStore, name: str, addresses: tuple[str, str]) -> str:
    with_secret, with_token = addresses
    try:
        return store.create_topic(name, with_secret)
    except Refused as refusal:
        if refusal.code not in _WITHOUT_PASSWORD:
            raise
    return store.create_topic(name, with_token)


def _shown(store: BucketStore, bucket: str, notification: Notification) -> Shown:
    is_ours = notification.topic == topic_name(bucket, notification.name)
    is_asked = notification.kind == "sns" and (is_ours or store.is_ceph)
    return Shown(notification, redacted(store.address_of(notification.target)) if is_asked else "")
