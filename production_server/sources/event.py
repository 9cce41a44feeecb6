"""What happened to one object of a bucket, whichever store says so, and the checks that hold for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from production_server.sources.json_fields import Field

Dialect = Literal["aws", "azure", "ceph", "eventbridge", "google", "minio"]
USER_METADATA = "x-amz-meta-"
MAX_METADATA_BYTES = 65_536
BUCKET_RULE = "a bucket's name: 3 to 255 letters, digits, dots, hyphens and underscores"
# The widest rules that are in use: Ceph's relaxed ones, and the `$web` of Azure.
_BUCKET = re.compile(r"(?!.*\.\.)[A-Za-z0-9$][A-Za-z0-9._-]{2,254}")


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


def is_bucket_name(name: str) -> bool:
    """Whether any of the stores could have a bucket of this name."""
    return _BUCKET.fullmatch(name) is not None


def read_bucket(sent: Field, decode: Callable[[str], str] = str) -> str:
    """The bucket that an event names.

    Raises:
        InvalidInput: no store could have it.
    """
    name = sent.text(decode, expected=BUCKET_RULE)
    if not is_bucket_name(name):
        raise sent.refuse(BUCKET_RULE)
    return name


def read_etag(sent: Field) -> str | None:
    """The object's entity tag without the quotes that HTTP puts around it.

    Raises:
        InvalidInput: it is neither nothing nor a text that can be stored.
    """
    etag = sent.optional_text()
    if etag is not None and len(etag) > 1 and etag[0] == etag[-1] == '"':
        etag = etag[1:-1]
    return etag or None


def read_metadata(entries: Iterable[tuple[str, Field]]) -> dict[str, str]:
    """The object's metadata, by plain names.

    Raises:
        InvalidInput: a value is not a text that can be stored.
    """
    plain = {}
    # The client's own come first, so that its `x-amz-meta-content-type` does not hide the `content-type` of the store.
    for name, sent in sorted(entries, key=lambda entry: not entry[0].lower().startswith(USER_METADATA)):
        plain[plain_name(name)] = sent.text(expected="a text", least=0, most=MAX_METADATA_BYTES)
    return plain


def plain_name(name: str) -> str:
    """A metadata name as rules write it: `X-Amz-Meta-Camera` is `camera`."""
    return name.lower().removeprefix(USER_METADATA)
