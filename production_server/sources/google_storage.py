"""Events of Google Cloud Storage: github.com/googleapis/google-cloudevents, google.events.cloud.storage.v1."""

from __future__ import annotations

from pydantic import Field, TypeAdapter

from production_server.sources.event import ObjectEvent
from production_server.sources.fields import BucketName, Foreign, Metadata, Size, Text
from production_server.sources.sent import Sent

TYPE = "google.cloud.storage.object."


class _Stored(Foreign):
    bucket: BucketName
    name: Text
    generation: Size = None
    size: Size = None
    metadata: Metadata = Field(default_factory=dict)


_STORED = TypeAdapter(_Stored)


def read_google_object(event_name: str, data: Sent) -> ObjectEvent:
    """The object in a CloudEvent's `data`; its generation tells its content from any other, and names its version.

    Google's own etag also changes when only metadata do.

    Raises:
        InvalidInput: a field is missing or holds what it cannot; names it by path.
    """
    stored = data.read(_STORED)
    generation = None if stored.generation is None else str(stored.generation)
    return ObjectEvent(
        path=data.path,
        bucket=stored.bucket,
        key=stored.name,
        etag=generation,
        version_id=generation,
        size_bytes=stored.size,
        is_created=event_name.endswith(".finalized"),
        event_name=event_name,
        dialect="google",
        metadata=stored.metadata,
    )
