"""Makes messages of payloads; what is too large for a message goes by a bucket, and the message says where it lies."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.errors import InputError
from client.streams import INSTALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from client.buckets.store import BucketStore
    from client.streams.messages import Outgoing
    from client.streams.requests import Payload

_JSON = "application/json"


@dataclass(frozen=True)
class Bucket:
    """A place of objects, `s3://bucket/prefix`, that the service may read."""

    store: BucketStore
    name: str
    prefix: str

    @classmethod
    def open(cls, url: str) -> Bucket:
        """The bucket of a URL, with credentials and endpoint as the AWS tools have them; asks nobody yet.

        Raises:
            InputError: it is no such URL, the library is not installed, or there are no credentials.
        """
        found = re.fullmatch(r"s3://([^/\s]+)(?:/(\S*))?", url)
        if found is None:
            raise InputError(f"--by {url}: expected s3://BUCKET/PREFIX; other stores are not written to")
        try:
            from client.buckets.store import BucketStore
        except ModuleNotFoundError as error:
            raise InputError(f"--by needs {error.name}, which is not installed: {INSTALL}") from error
        prefix = (found[2] or "").strip("/")
        return cls(BucketStore(), found[1], f"{prefix}/" if prefix else "")

    def put(self, name: str, content: bytes, *, content_type: str) -> str:
        """Have an object, and return its URL. Raises as `BucketStore`."""
        key = f"{self.prefix}{name}{mimetypes.guess_extension(content_type) or ''}"
        self.store.upload(self.name, key, content, content_type=content_type)
        return f"s3://{self.name}/{key}"


@dataclass(frozen=True)
class Carrier:
    """Makes a message of a payload; what has more than `most_bytes` goes by the bucket."""

    asked: Mapping[str, str]
    most_bytes: int
    bucket: Bucket | None = None

    def message(self, payload: Payload) -> Outgoing:
        """The message of a payload.

        Raises:
            InputError: it is too large, and there is no bucket, or it is JSON. Refused, Unavailable: so says the store.
        """
        message = payload.message(self.asked)
        if len(payload.value) <= self.most_bytes:
            return message
        if self.bucket is None or payload.content_type == _JSON:
            how = (
                "JSON goes by no bucket"
                if payload.content_type == _JSON
                else "--by s3://BUCKET/PREFIX sends it by a bucket that the service may read"
            )
            raise InputError(
                f"{len(payload.value):,} bytes are more than a message may have ({self.most_bytes:,}): {how}"
            )
        url = self.bucket.put(message.id, payload.value, content_type=payload.content_type)
        return message.at(url)
