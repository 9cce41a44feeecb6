"""Where a stream is: `kafka://host:port,host:port/topic`, or `pubsub://project/topic`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self, cast
from urllib.parse import urlsplit

from client.errors import InputError

Kind = Literal["kafka", "pubsub"]
_NAMES = {
    "kafka": (re.compile(r"[A-Za-z0-9._-]{1,249}"), "letters, digits, '.', '_' and '-', at most 249"),
    "pubsub": (
        re.compile(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}"),
        "3 to 255 letters, digits and '-', of which the first is a letter",
    ),
}
_HOSTS = re.compile(r"[^\s,@/?#]+(,[^\s,@/?#]+)*")


@dataclass(frozen=True)
class Broker:
    """Who keeps topics: `host` is a list of brokers of Kafka with commas between, or a project of Google's."""

    kind: Kind
    host: str

    @classmethod
    def read(cls, written: str) -> Self:
        """The broker of `kafka://host:port`, or of `pubsub://project`.

        Raises:
            InputError: it is neither.
        """
        kind, host, path = _parts(written)
        if path.strip("/"):
            raise InputError(f"{kind}://{host}: expected no topic behind it: names stand by themselves")
        return cls(kind, host)

    def place(self, name: str) -> Place:
        """A topic, or a subscription.

        Raises:
            InputError: nothing can be called so.
        """
        form, words = _NAMES[self.kind]
        if not form.fullmatch(name):
            raise InputError(f"{name}: expected {words}")
        return Place(self, name)

    def __str__(self) -> str:
        return f"{self.kind}://{self.host}"


@dataclass(frozen=True)
class Place:
    """A topic of a broker; where Google's Pub/Sub is read, a subscription."""

    broker: Broker
    name: str

    @classmethod
    def read(cls, written: str) -> Place:
        """The place of `kafka://host:port/topic`, or of `pubsub://project/topic`.

        Raises:
            InputError: it is neither.
        """
        kind, host, path = _parts(written)
        if not path.strip("/"):
            raise InputError(f"{kind}://{host}: expected a topic behind it, as in {kind}://{host}/patients")
        return Broker(kind, host).place(path.removeprefix("/"))

    def __str__(self) -> str:
        return f"{self.broker}/{self.name}"


def _parts(written: str) -> tuple[Kind, str, str]:
    try:
        parts = urlsplit(written)
    except ValueError as error:
        raise InputError(_expected(written)) from error
    if "@" in parts.netloc:
        # Not repeated: it may hold a password.
        raise InputError("the address has a user in it: credentials go into --options")
    if parts.scheme not in _NAMES or not _HOSTS.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise InputError(_expected(written))
    return cast("Kind", parts.scheme), parts.netloc, parts.path


def _expected(written: str) -> str:
    return f"{written}: expected kafka://HOST:PORT/TOPIC or pubsub://PROJECT/TOPIC"
