"""What a bucket's notification says: which events of which objects go where. Values; nothing here asks a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

USER = "celeriac"
CREATED = ("s3:ObjectCreated:*",)
REDACTED = "[redacted]"
KINDS = {
    "sns": ("TopicConfigurations", "TopicArn"),
    "sqs": ("QueueConfigurations", "QueueArn"),
    "lambda": ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
}
"""By the service that an ARN names: the list that its notifications are in, and what names it there."""
_METADATA = "x-amz-meta-"

Configuration = Mapping[str, Any]
"""All notifications of a bucket, as botocore reads and writes them."""


@dataclass(frozen=True)
class Filter:
    """Which objects a notification is about; regex, metadata and tags are Ceph's own."""

    prefix: str = ""
    suffix: str = ""
    regex: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ceph_only(self) -> bool:
        return bool(self.regex or self.metadata or self.tags)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """What stands in a notification, whatever the case of its names."""
        key = {name.lower(): value for name, value in _pairs(told, "Key")}
        metadata = {name.lower().removeprefix(_METADATA): value for name, value in _pairs(told, "Metadata")}
        parts = {name: key[name] for name in ("prefix", "suffix", "regex") if key.get(name)}
        return cls(**parts, metadata=metadata, tags=dict(_pairs(told, "Tags")))

    def write(self) -> dict[str, Any]:
        """What stands in a notification."""
        key = {"prefix": self.prefix, "suffix": self.suffix, "regex": self.regex}
        metadata = {_METADATA + name: value for name, value in self.metadata.items()}
        parts = {"Key": key, "Metadata": metadata, "Tags": self.tags}
        rules = {
            part: [{"Name": name, "Value": value} for name, value in pairs.items() if value]
            for part, pairs in parts.items()
        }
        return {part: {"FilterRules": listed} for part, listed in rules.items() if listed}

    def __str__(self) -> str:
        parts = {"prefix": self.prefix, "suffix": self.suffix, "regex": self.regex}
        words = [f"{name} {value}" for name, value in parts.items() if value]
        words += [f"metadata {name}={value}" for name, value in self.metadata.items()]
        return ", ".join(words + [f"tag {name}={value}" for name, value in self.tags.items()])


@dataclass(frozen=True)
class Notification:
    """One notification: its name (the store's `Id`), and the ARN of what is told."""

    name: str
    target: str
    filter: Filter = field(default_factory=Filter)
    events: Sequence[str] = CREATED

    @property
    def kind(self) -> str:
        """`sns`, `sqs` or `lambda`."""
        return service_of(self.target)

    @property
    def topic(self) -> str:
        """What the target is called, without where it is."""
        return self.target.rpartition(":")[2]

    def entry(self) -> dict[str, Any]:
        """As botocore writes it."""
        rules = self.filter.write()
        told = {"Id": self.name, KINDS[self.kind][1]: self.target, "Events": list(self.events)}
        return told | ({"Filter": rules} if rules else {})


def service_of(arn: str) -> str:
    """Which service an ARN is of; empty if it is none."""
    parts = arn.split(":")
    return parts[2] if len(parts) >= 6 and parts[0] == "arn" else ""


def read_all(configuration: Configuration) -> Iterator[Notification]:
    """The notifications of a bucket."""
    for listing, target in KINDS.values():
        for entry in configuration.get(listing, ()):
            rules = Filter.read(entry.get("Filter", {}))
            yield Notification(entry.get("Id", ""), entry[target], rules, tuple(sorted(entry["Events"])))


def without(configuration: Configuration, name: str) -> dict[str, Any]:
    """All but the notification of a name; the others as they were told."""
    kept = dict(configuration)
    for listing, _ in KINDS.values():
        if listing in kept:
            kept[listing] = [entry for entry in kept[listing] if entry.get("Id") != name]
    return kept


def with_one(configuration: Configuration, notification: Notification) -> dict[str, Any]:
    """All, with one more, or another one in place of that of its name."""
    changed = without(configuration, notification.name)
    listing = KINDS[notification.kind][0]
    return changed | {listing: [*changed.get(listing, ()), notification.entry()]}


def topic_name(bucket: str, name: str) -> str:
    """What the topic of a bucket's notification is called; topics have one name for all buckets, without dots."""
    return f"{name}-{bucket}".replace(".", "_")


def with_password(url: str, token: str) -> str:
    """An address whose caller is to prove that he knows a token by basic authentication."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{USER}:{quote(token, safe='')}@{parts.netloc}"))


def with_query(url: str, token: str) -> str:
    """An address with a token in it."""
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(query="&".join(filter(None, (parts.query, f"token={quote(token, safe='')}"))))
    )


def redacted(url: str) -> str:
    """An address as it may be shown: without passwords, and without the values in its query."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    hidden = f"{user.partition(':')[0]}:{REDACTED}@{host}" if at else host
    names = [pair.partition("=")[0] for pair in parts.query.split("&") if pair]
    return urlunsplit(parts._replace(netloc=hidden, query="&".join(f"{name}={REDACTED}" for name in names)))


def _pairs(told: Mapping[str, Any], part: str) -> Iterator[tuple[str, str]]:
    for rule in told.get(part, {}).get("FilterRules", ()):
        yield rule["Name"], rule.get("Value", "")
