"""What happened to one object of a bucket, whichever store says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Dialect = Literal["aws", "azure", "ceph", "eventbridge", "google", "minio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvent:
    """One event, with the key as the client that wrote the object spelt it, however it was encoded on the way.

    `etag` is what the store's listing has, too: one object is one item, whoever tells of it. `dialect` is who spoke,
    not how it was wrapped. `is_created` says that the object's content is new; a folder marker (a key that ends with
    `/`, 0 bytes) is created like any object. Names in `metadata` are lower-case, without the prefix that S3 gives them
    in headers.
    """

    bucket: str
    key: str
    etag: str | None
    version_id: str | None
    size_bytes: int | None
    is_created: bool
    event_name: str
    dialect: Dialect
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    path: str = field(default="", compare=False)
    """Where it stands in what was sent, such as `Records[2]`; empty: it is all of the body."""
